/** Lab 01.14: ten days older. */
import type { LabFile } from '@strata/labs';
import { CLONE_NEWTIME } from '@strata/namespaces';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const parent = stage.spawn('parent');

  stage.step('make a time namespace for the children', () => {
    parent.sys.unshare(CLONE_NEWTIME);
  });

  stage.step('set its boot-time clock', () => {
    // Your line here: writeText(stage.sys, path, text) from @strata/labs. Ten days are 864000 s.
  });

  const child = stage.step('a child, which is born inside', () => {
    return parent.clone('child', { flags: 0 });
  });

  return { parent, child };
};
export default lab;
