/** Lab 01.2: number 1, and what it owes the others. */
import type { LabFile } from '@strata/labs';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const launcher = stage.spawn('launcher');

  const init = stage.step('a process that is number 1', () => {
    // Yours: flags that have the child born in a new PID namespace.
    return launcher.clone('init', { flags: 0 });
  });

  const worker = stage.step('number 1 has a child', () => init.clone('worker', { flags: 0 }));
  const orphan = stage.step('the child has a child', () => worker.clone('orphan', { flags: 0 }));

  stage.step('the one in the middle ends: who is the parent now?', () => worker.end());
  stage.step('the orphan ends', () => orphan.end());

  stage.step('somebody asks how they ended', () => {
    // Yours: have `init` ask, once for each: init.sys.waitid(NUMBER, WEXITED).
  });

  return { init, worker, orphan };
};
export default lab;
