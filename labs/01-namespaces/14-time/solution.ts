/**
 * Lab 01.14, solved. unshare(CLONE_NEWTIME) makes the namespace, for the children of the caller; while
 * nobody is in it, its offsets can be written. The first child enters it and seals them.
 */
import { type LabFile, writeText } from '@strata/labs';
import { CLONE_NEWTIME } from '@strata/namespaces';
import type { Scene } from './check.ts';

const TEN_DAYS_S = 864_000;

const lab: LabFile<Scene> = (stage) => {
  const parent = stage.spawn('parent');

  stage.step('make a time namespace for the children', () => {
    parent.sys.unshare(CLONE_NEWTIME);
  });

  stage.step('set its boot-time clock', () => {
    writeText(stage.sys, `/proc/${parent.pid}/timens_offsets`, `boottime ${TEN_DAYS_S} 0`);
  });

  const child = stage.step('a child, which is born inside', () => {
    return parent.clone('child', { flags: 0 });
  });

  return { parent, child };
};
export default lab;
