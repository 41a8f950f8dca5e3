/** Lab 01.8: stopped, and does not know. */
import type { LabFile } from '@strata/labs';
import { SIGSTOP } from '@strata/namespaces';
import type { Scene } from './check.ts';
import { startCounting } from './counters.ts';

const lab: LabFile<Scene> = (stage) => {
  const box = stage.cgroup('box');
  const shell = stage.spawn('shell');

  stage.step('the program: a shell and its child, which count', () => startCounting(stage, shell));

  stage.step('stop', () => {
    // Yours: a signal stops one process of two, and its parent is told. Stop the whole box.
    stage.sys.kill(shell.pid, SIGSTOP);
  });

  return { box };
};
export default lab;
