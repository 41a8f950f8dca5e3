/**
 * Lab 01.1, solved: unshare(2) moves the process that calls it into a new namespace, which begins as
 * a copy of the old one. So the order matters: first leave, then rename.
 */
import type { LabFile } from '@strata/labs';
import { CLONE_NEWUTS } from '@strata/namespaces';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const hand = stage.spawn('hand');

  stage.step('leave the UTS namespace of the host', () => {
    hand.sys.unshare(CLONE_NEWUTS);
  });

  stage.step('take another name', () => {
    hand.sys.sethostname('inside');
  });

  return { hand };
};
export default lab;
