import { readlinkSync } from 'node:fs';
import { type Lab, type Performer, processFileView, readText, type Stage } from '@strata/labs';
import { EACCES, errnoOf, O_WRONLY, type Syscalls } from '@strata/namespaces';

export interface Scene {
  parent: Performer;
  child: Performer;
}

const TEN_DAYS_S = 864_000;
/** What may pass between two looks at a clock, in seconds. */
const TOLERANCE_S = 60;

/** Seconds since the boot, as whoever reads has them. */
const uptime = (sys: Syscalls): number => Number(readText(sys, '/proc/uptime').split(' ')[0]);

const lab: Lab<Scene> = {
  needs: ['time namespaces'],
  views: [
    {
      title: 'namespaces (/proc/PID/ns: time, time_for_children)',
      lines: ({ performers }: Stage) =>
        [{ title: 'lab', pid: process.pid }, ...performers].map(({ title, pid }) =>
          [
            title,
            ...['time', 'time_for_children'].map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`)),
          ].join('  '),
        ),
    },
    processFileView('timens_offsets'),
    {
      title: '/proc/uptime',
      lines: ({ performers }: Stage) =>
        performers.map(({ title, sys }) => `${title}  ${(uptime(sys) / 86_400).toFixed(1)} days`),
    },
  ],

  check(report, { parent, child }, { sys }) {
    const ours = readlinkSync('/proc/self/ns/time');
    report.expect({
      that: 'the parent is where it was: unshare is for its children',
      expected: ours,
      found: readlinkSync(`/proc/${parent.pid}/ns/time`),
      usually: 'the parent has joined its own new namespace with setns(2)',
    });
    const theirs = readlinkSync(`/proc/${child.pid}/ns/time`);
    report.expect({
      that: 'the child is in another time namespace',
      expected: `not ${ours}`,
      found: theirs,
      holds: theirs !== ours,
      usually: 'unshare(CLONE_NEWTIME) was not called by the parent before it cloned',
    });
    const ahead = uptime(child.sys) - uptime(sys);
    report.expect({
      that: 'the machine of the child has been up for ten days longer',
      expected: `${TEN_DAYS_S} s`,
      found: `${Math.round(ahead)} s`,
      holds: Math.abs(ahead - TEN_DAYS_S) < TOLERANCE_S,
      usually: 'nothing was written to timens_offsets of the parent, or another clock or number',
    });
    report.expect({
      that: 'the offsets cannot be changed any more',
      expected: 'EACCES',
      found: refusal(sys, parent.pid),
      usually: 'no child has been born into the namespace yet: it is still open',
    });
  },
};
export default lab;

function refusal(sys: Syscalls, pid: number): string {
  const fd = sys.openat2(`/proc/${pid}/timens_offsets`, { flags: O_WRONLY });
  try {
    sys.write(fd, 'boottime 0 0');
    return 'written';
  } catch (error) {
    return errnoOf(error) === EACCES ? 'EACCES' : String(error);
  } finally {
    sys.close(fd);
  }
}
