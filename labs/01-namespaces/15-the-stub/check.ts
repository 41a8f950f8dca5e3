import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, type Performer, processFileView } from '@strata/labs';
import { stubElf, syscallNumber } from '@strata/namespaces';

export interface Scene {
  hand: Performer;
  /** Address of the instruction that the sleeping stub will execute next. */
  goesOnAt: number;
}

const LOOKS = 500;
const LOOK_MS = 10;

/** What a process sleeps in, once it does. @see proc_pid_syscall(5) */
async function sleepsIn(pid: number): Promise<{ number: number; counter: number }> {
  for (let look = 0; look < LOOKS; look++) {
    const words = readFileSync(`/proc/${pid}/syscall`, 'utf8').trim().split(' ');
    if (words.length > 3) return { number: Number(words[0]), counter: Number(words.at(-1)) };
    await sleep(LOOK_MS);
  }
  throw new Error(`process ${pid} does not go to sleep`);
}

const hex = (value: number): string => `0x${value.toString(16)}`;

const lab: Lab<Scene> = {
  needs: [],
  views: [processFileView('syscall'), processFileView('cmdline'), processFileView('maps')],

  async check(report, { hand, goesOnAt }) {
    const { number, counter } = await sleepsIn(hand.pid);
    report.expect({
      that: 'the stub sleeps in futex(2)',
      expected: syscallNumber('futex')!,
      found: number,
      usually: 'it has become another program',
    });
    report.expect({
      that: 'it will go on at the address that you found',
      expected: 'the last word of its /proc/PID/syscall',
      found: hex(goesOnAt),
      holds: goesOnAt === counter,
      usually:
        'that is another of the five system calls, or the call itself: the kernel names the instruction after it',
    });
    const executable = readFileSync(`/proc/${hand.pid}/exe`);
    report.expect({
      that: 'what it executes is what was assembled, to the last byte',
      expected: stubElf().length,
      found: executable.length,
      holds: executable.equals(Buffer.from(stubElf())),
      usually: 'it has become another program',
    });
  },
};
export default lab;
