/**
 * Lab 01.2, solved. The first process of a PID namespace is born in it, by clone with CLONE_NEWPID;
 * what unshare would make is for the caller's children. Whoever loses its parent is given to number 1,
 * and stays in the process table until number 1 has asked how it ended.
 */
import type { LabFile } from '@strata/labs';
import { CLONE_NEWPID, WEXITED } from '@strata/namespaces';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const launcher = stage.spawn('launcher');

  const init = stage.step('a process that is number 1', () => {
    return launcher.clone('init', { flags: CLONE_NEWPID });
  });

  const worker = stage.step('number 1 has a child', () => init.clone('worker', { flags: 0 }));
  const orphan = stage.step('the child has a child', () => worker.clone('orphan', { flags: 0 }));

  stage.step('the one in the middle ends: who is the parent now?', () => worker.end());
  stage.step('the orphan ends', () => orphan.end());

  stage.step('somebody asks how they ended', () => {
    // In there they are numbers 2 and 3; `worker.pid` is what the host calls it.
    init.sys.waitid(2, WEXITED);
    init.sys.waitid(3, WEXITED);
  });

  return { init, worker, orphan };
};
export default lab;
