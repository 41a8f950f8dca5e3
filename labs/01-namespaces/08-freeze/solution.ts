/**
 * Lab 01.8, solved. A cgroup is frozen as a whole, those included that its processes are just forking. To
 * be in it, the program must begin in it: who was born before stays where its parent was then.
 */
import type { LabFile } from '@strata/labs';
import type { Scene } from './check.ts';
import { startCounting } from './counters.ts';

const lab: LabFile<Scene> = (stage) => {
  const box = stage.cgroup('box');
  const shell = stage.spawn('shell');

  stage.step('into the box', () => box.attach(shell.pid));

  stage.step('the program: a shell and its child, which count', () => startCounting(stage, shell));

  stage.step('stop', () => box.freeze());

  return { box };
};
export default lab;
