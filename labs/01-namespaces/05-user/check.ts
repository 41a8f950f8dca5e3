import { type Lab, type Performer, processFileView, readText, type Stage } from '@strata/labs';
import {
  AT_FDCWD,
  capabilityNames,
  EPERM,
  errnoName,
  Namespace,
  parseCapabilityState,
  type Syscalls,
} from '@strata/namespaces';

export interface Scene {
  hand: Performer;
  /** A directory that belongs to the user. */
  home: string;
}

const USER = 1000;

/** A line of /proc/PID/status, in the eyes of whoever reads it: real, effective, saved, file-system id. */
function idsOf(sys: Syscalls, pid: number | 'self', line: 'Uid' | 'Gid'): string {
  const text = readText(sys, `/proc/${pid}/status`);
  return new RegExp(`^${line}:\\s*(.*)$`, 'm').exec(text)![1]!.split('\t').join(' ');
}

/** How many capabilities, and over what. */
function capabilitiesOf(sys: Syscalls): string {
  const { effective } = parseCapabilityState(readText(sys, '/proc/self/status'));
  return `${capabilityNames(effective).length} effective capabilities`;
}

const lab: Lab<Scene> = {
  needs: ['user namespaces', 'user namespaces for anybody'],
  views: [
    {
      title: 'the same line of /proc/PID/status, read by the host and by the process itself',
      lines: ({ sys, performers }: Stage) =>
        performers.map(({ title, pid, sys: own }) =>
          [
            title,
            `Uid ${idsOf(sys, pid, 'Uid')}`,
            `Uid ${idsOf(own, 'self', 'Uid')}`,
            capabilitiesOf(own),
          ].join('   '),
        ),
    },
    processFileView('uid_map'),
    processFileView('gid_map'),
    processFileView('setgroups'),
  ],
  refusals: {
    'write EPERM':
      'without privileges outside, a map has one line, for one id, which is one’s own (1000) outside; gid_map only after setgroups says deny; and each map is written once',
    'write EINVAL':
      'a line of a map has three numbers: first id inside, first id outside, how many',
  },

  check(report, { hand, home }, { sys }) {
    using namespace = Namespace.ofProcess(hand.pid, 'user');
    using ours = Namespace.ofProcess('self', 'user');
    report.expect({
      that: 'the process is in a user namespace that the user has made',
      expected: `made by ${USER}`,
      found: namespace.inode === ours.inode ? 'the host’s' : `made by ${namespace.ownerUid}`,
      usually: 'unshare(CLONE_NEWUSER) was not called, or before the process was an ordinary user',
    });
    report.expect({
      that: 'outside it is an ordinary user still',
      expected: `${USER} ${USER} ${USER} ${USER}`,
      found: idsOf(sys, hand.pid, 'Uid'),
      usually: 'the second number of the map is not the user’s',
    });
    for (const [line, map] of [
      ['Uid', 'uid_map'],
      ['Gid', 'gid_map'],
    ] as const) {
      const found = idsOf(hand.sys, 'self', line);
      report.expect({
        that: `inside, its ${line} is 0`,
        expected: '0 0 0 0',
        found,
        usually: found.startsWith('65534')
          ? `nothing is written to ${map}: who has no number inside shows as 65534, nobody`
          : `the first number of ${map} is the id inside`,
      });
    }
    checkFile(report, { hand, home }, sys);
    const result = hand.sys.attempt('sethostname', 'mine', 4);
    report.expect({
      that: 'it may do nothing to what belongs to the host, such as its name',
      expected: 'EPERM',
      found: result === 0 ? 'done' : errnoName(-result),
      holds: result === -EPERM,
      usually: 'it is not in a user namespace, or has made the other one as well',
    });
  },
};
export default lab;

function checkFile(
  report: Parameters<Lab<Scene>['check']>[0],
  { hand, home }: Scene,
  sys: Syscalls,
): void {
  const ownerFor = (who: Syscalls): number => who.statx(AT_FDCWD, `${home}/file`, 0).uid;
  report.expect({
    that: 'its file belongs to root inside, and to the user outside: it is one number',
    expected: `0, ${USER}`,
    found: `${ownerFor(hand.sys)}, ${ownerFor(sys)}`,
    usually: 'the file was made by somebody else, or the user is not mapped',
  });
}
