import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupView, type Lab, type LabCgroup, type Stage, statusField } from '@strata/labs';
import { countersOf, counts } from './counters.ts';

export interface Scene {
  box: LabCgroup;
}

/** Some ticks of the counters. */
const A_WHILE_MS = 150;
const LOOKS = 500;
const LOOK_MS = 10;
const STOPPED = 'T (stopped)';

const lab: Lab<Scene> = {
  needs: ['busybox', 'freezer cgroups'],
  views: [
    cgroupView('freezer.state', 'cgroup.freeze', 'cgroup.events'),
    {
      title: 'who is in the cgroup, and in which state (/proc/PID/status)',
      lines: ({ cgroups }: Stage) =>
        cgroups.flatMap((box) =>
          membersOf(box).map(
            (pid) => `${pid}  ${statusField(pid, 'Name')}  ${statusField(pid, 'State')}`,
          ),
        ),
    },
    {
      title: 'how far they have counted',
      lines: (stage: Stage) => [counts(countersOf(stage)).join('  ')],
    },
  ],

  async check(report, { box }, stage) {
    const files = countersOf(stage);
    const members = membersOf(box);
    report.expect({
      that: 'both processes are in the cgroup',
      expected: 'at least 2',
      found: members.length,
      holds: members.length >= 2,
      usually:
        members.length === 0
          ? 'the shell was not attached'
          : 'the shell was attached when it had a child already: who was born before stays outside',
    });
    const state = freezerState(box);
    report.expect({
      that: 'the kernel says that the cgroup is frozen',
      expected: 'frozen',
      found: state,
      usually:
        'freeze was not called: a signal stops processes, and the cgroup knows nothing of it',
    });
    const states = members.map((pid) => statusField(pid, 'State'));
    report.expect({
      that: 'no process of it is stopped by a signal, which its parent could see',
      expected: `not ${STOPPED}`,
      found: states.join(', '),
      holds: members.length > 0 && !states.includes(STOPPED),
      usually: 'SIGSTOP was sent: the parent is told (waitid with WSTOPPED), and SIGCONT undoes it',
    });
    const before = counts(files);
    await sleep(A_WHILE_MS);
    report.expect({
      that: 'none of the two counts',
      expected: before.join(', '),
      found: counts(files).join(', '),
      usually: 'one of the two is outside of what was stopped',
    });
    if (state !== 'frozen') return;
    box.thaw();
    report.expect({
      that: 'thawed, both go on where they were',
      expected: 'more',
      found: (await goOn(files)) ? 'more' : counts(files).join(', '),
      usually: 'they wait for SIGCONT: a signal has stopped them',
    });
  },
};
export default lab;

/** The file that freezes, of v1's freezer or of v2. */
function read(box: LabCgroup, file: string): string {
  const directory = box.paths.freezer ?? box.paths[''];
  const path = `${directory}/${file}`;
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

const membersOf = (box: LabCgroup): number[] =>
  read(box, 'cgroup.procs').split('\n').filter(Boolean).map(Number);

function freezerState(box: LabCgroup): string {
  const isFrozen =
    read(box, 'freezer.state').trim() === 'FROZEN' ||
    /^frozen 1$/m.test(read(box, 'cgroup.events'));
  return isFrozen ? 'frozen' : 'not frozen';
}

/** Whether all of them count, within some seconds. */
async function goOn(files: readonly string[]): Promise<boolean> {
  const before = counts(files);
  for (let look = 0; look < LOOKS; look++) {
    if (counts(files).every((count, index) => count > before[index]!)) return true;
    await sleep(LOOK_MS);
  }
  return false;
}
