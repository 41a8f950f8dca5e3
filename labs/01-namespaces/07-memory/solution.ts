/**
 * Lab 01.7, solved. A process that touches memory for which its cgroup has no room is not refused: the
 * kernel first takes back what can be had, and then kills somebody of the cgroup. `swap` is memory and swap
 * together: with the same number there is no swap to escape to.
 */
import { findProgram, type LabFile } from '@strata/labs';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = async (stage) => {
  const small = stage.cgroup('small');
  const eater = stage.spawn('eater');
  const neighbour = stage.spawn('neighbour');

  stage.step('32 MiB, and not more', () => {
    small.set({ memory: { limit: 32 << 20, swap: 32 << 20 } });
  });

  stage.step('who is meant', () => {
    small.attach(eater.pid);
  });

  stage.step('a program that wants 256 MiB', () => {
    const words = ['busybox', 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=256M', 'count=1'];
    eater.exec(findProgram('busybox')!, words);
  });

  const status = await stage.step('how it ends', () => eater.wait());

  return { small, neighbour, status };
};
export default lab;
