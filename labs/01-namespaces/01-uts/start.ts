/** Lab 01.1: a process in its own UTS namespace. */
import type { LabFile } from '@strata/labs';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const hand = stage.spawn('hand');

  stage.step('leave the UTS namespace of the host', () => {
    // Your line here: have `hand` unshare its UTS namespace. The flag comes from @strata/namespaces.
  });

  stage.step('take another name', () => {
    hand.sys.sethostname('inside');
  });

  return { hand };
};
export default lab;
