import { readdirSync, readlinkSync } from 'node:fs';
import {
  type Lab,
  namespacesView,
  type Performer,
  readText,
  type Stage,
  statusField,
  statusView,
} from '@strata/labs';

export interface Scene {
  container: Performer;
  visitor: Performer;
  guest: Performer;
}

const KINDS = ['mnt', 'uts', 'pid'] as const;

const namespaceOf = ({ pid }: Performer, kind: string): string =>
  readlinkSync(`/proc/${pid}/ns/${kind}`);

/** The processes that somebody's /proc shows. */
const processesSeenBy = ({ pid }: Performer): string => {
  const numbers = readdirSync(`/proc/${pid}/root/proc`).filter((name) => /^\d+$/.test(name));
  return numbers
    .map(Number)
    .sort((one, other) => one - other)
    .slice(0, 6)
    .join(' ');
};

const hostName = ({ sys }: Performer): string => readText(sys, '/proc/sys/kernel/hostname').trim();

const lab: Lab<Scene> = {
  needs: [],
  views: [
    namespacesView('pid', 'mnt', 'uts'),
    {
      title: 'where children would be born (/proc/PID/ns/pid_for_children)',
      lines: ({ performers }: Stage) =>
        performers.map(
          (performer) => `${performer.title}  ${namespaceOf(performer, 'pid_for_children')}`,
        ),
    },
    statusView('NSpid', 'PPid'),
  ],
  refusals: {
    'setns EINVAL':
      'with a pidfd, the flags say which namespaces of the process are meant, at least one; with a file of /proc/PID/ns, its kind or 0',
    'setns EBADF': 'the descriptor is another process’s: the visitor must open it itself',
    'pidfd_open EINVAL': 'a pid as the visitor sees it is wanted: container.pid',
    'pidfd_open ESRCH': 'a pid as the visitor sees it is wanted: container.pid',
  },

  check(report, { container, visitor, guest }, { sys }) {
    report.expect({
      that: 'the container is as it was',
      expected: 'its first process is alive',
      found:
        statusField(container.pid, 'State')?.[0] === 'Z'
          ? 'it has ended'
          : 'its first process is alive',
      usually: 'somebody has ended it',
    });
    for (const kind of KINDS) {
      const theirs = namespaceOf(container, kind);
      const found = namespaceOf(guest, kind);
      const isOurs = found === readlinkSync(`/proc/self/ns/${kind}`);
      report.expect({
        that: `the guest is in the container’s ${kind} namespace`,
        expected: theirs,
        found,
        usually: isOurs
          ? 'the visitor had not joined it when the guest was born: the flags of setns name all that are meant'
          : 'a new namespace was made: unshare and clone make, setns joins',
      });
    }
    report.expect({
      that: 'the visitor itself keeps its number: a process does not change its PID namespace',
      expected: readlinkSync('/proc/self/ns/pid'),
      found: namespaceOf(visitor, 'pid'),
      usually: 'the visitor was born inside',
    });
    report.expect({
      that: 'the guest is one of two processes there',
      expected: '1 2',
      found: processesSeenBy(guest),
      usually:
        'its /proc is the host’s: /proc belongs to a mount namespace, which has to be joined as well',
    });
    report.expect({
      that: 'the guest calls its host by the container’s name',
      expected: hostName(container),
      found: hostName(guest),
      usually: `the UTS namespace was not joined: the host’s name is ${readText(sys, '/proc/sys/kernel/hostname').trim()}`,
    });
  },
};
export default lab;
