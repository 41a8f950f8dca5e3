/** Lab 01.7: a cgroup that kills. */
import { findProgram, type LabFile } from '@strata/labs';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = async (stage) => {
  const small = stage.cgroup('small');
  const eater = stage.spawn('eater');
  const neighbour = stage.spawn('neighbour');

  stage.step('32 MiB, and not more', () => {
    // Yours: a limit, by small.set(...). 32 MiB are `32 << 20`.
  });

  stage.step('who is meant', () => {
    // Yours: a process comes into a cgroup by small.attach(...).
  });

  stage.step('a program that wants 256 MiB', () => {
    const words = ['busybox', 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=256M', 'count=1'];
    eater.exec(findProgram('busybox')!, words);
  });

  const status = await stage.step('how it ends', () => eater.wait());

  return { small, neighbour, status };
};
export default lab;
