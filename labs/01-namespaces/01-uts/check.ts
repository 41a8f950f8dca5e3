import { readlinkSync } from 'node:fs';
import { type Lab, namespacesView, type Performer, readText, type Stage } from '@strata/labs';
import type { Syscalls } from '@strata/namespaces';

export interface Scene {
  hand: Performer;
}

/** This file shows the name of the namespace of whoever reads it. */
const hostName = (sys: Syscalls): string => readText(sys, '/proc/sys/kernel/hostname').trim();

const lab: Lab<Scene> = {
  needs: [],
  views: [
    namespacesView('uts'),
    {
      title: '/proc/sys/kernel/hostname',
      lines: ({ sys, performers }: Stage) => [
        `lab  ${hostName(sys)}`,
        ...performers.map((performer) => `${performer.title}  ${hostName(performer.sys)}`),
      ],
    },
  ],

  check(report, { hand }, { sys }) {
    const ours = readlinkSync('/proc/self/ns/uts');
    const theirs = readlinkSync(`/proc/${hand.pid}/ns/uts`);
    report.expect({
      that: 'the process has a UTS namespace of its own',
      expected: `not ${ours}`,
      found: theirs,
      holds: theirs !== ours,
      usually: 'unshare(CLONE_NEWUTS) was not called, or not in this process',
    });
    report.expect({
      that: 'it has taken the name "inside" there',
      expected: 'inside',
      found: hostName(hand.sys),
      usually: 'sethostname(2) was not called by this process, or before it had moved',
    });
    report.expect({
      that: 'the host has kept its name',
      expected: 'lab-host',
      found: hostName(sys),
      usually: 'the process was still in the namespace of the host when it took the name',
    });
  },
};
export default lab;
