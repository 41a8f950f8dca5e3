/** A program of two processes that count, each into a file of its own. Given, not the lesson. */
import { readFileSync } from 'node:fs';
import { findProgram, type Performer, type Stage } from '@strata/labs';

const TICK_US = 10_000;
const LOOKS = 1000;
const LOOK_MS = 10;

/** The files: a line for each tick. */
export const countersOf = ({ scratch }: Stage): string[] =>
  ['first', 'second'].map((name) => `${scratch}/${name}`);

/** How far they are. */
export const counts = (files: readonly string[]): number[] =>
  files.map((path) => {
    try {
      return readFileSync(path).length;
    } catch {
      return 0;
    }
  });

/** Has a process become the program, and waits until both count. */
export function startCounting(stage: Stage, shell: Performer): void {
  const busybox = findProgram('busybox')!;
  const files = countersOf(stage);
  const tick = `tick() { while :; do echo >> $1; ${busybox} usleep ${TICK_US}; done; }`;
  shell.exec(busybox, ['sh', '-c', `${tick}; tick ${files[0]} & tick ${files[1]}`]);
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let look = 0; !stage.isRehearsal && !counts(files).every(Boolean); look++) {
    if (look === LOOKS) throw new Error(`the program does not count into ${files.join(', ')}`);
    Atomics.wait(clock, 0, 0, LOOK_MS);
  }
}
