/** Lab 01.13: into a container, by the door. */
import type { LabFile } from '@strata/labs';
import { CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, MS_PRIVATE, MS_REC } from '@strata/namespaces';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const launcher = stage.spawn('launcher');
  const visitor = stage.spawn('visitor');

  const container = stage.step('a container: a process in three namespaces', () => {
    const flags = CLONE_NEWPID + CLONE_NEWNS + CLONE_NEWUTS;
    const child = launcher.clone('container', { flags });
    child.sys.sethostname('box');
    child.sys.mount({ target: '/', flags: MS_REC | MS_PRIVATE });
    child.sys.mount({ source: 'proc', target: '/proc', type: 'proc' });
    return child;
  });

  stage.step('the visitor goes in', () => {
    // Yours: visitor.sys.pidfdOpen(...) for the container's process, and visitor.sys.setns(...) with it.
  });

  const guest = stage.step('what the visitor starts', () => visitor.clone('guest', { flags: 0 }));

  return { container, visitor, guest };
};
export default lab;
