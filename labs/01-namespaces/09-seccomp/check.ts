import { type Lab, type Performer, statusField, statusView } from '@strata/labs';
import {
  AF_INET,
  AF_UNIX,
  AT_FDCWD,
  EPERM,
  errnoName,
  SOCK_CLOEXEC,
  type SyscallName,
  syscallNumber,
} from '@strata/namespaces';

export interface Scene {
  hand: Performer;
}

const AF_NETLINK = 16;
const SOCK_DGRAM = 2;
const MODE_FILTER = 2;
/** What the kernel shows of a process that its filter has just killed (SECCOMP_MODE_DEAD). */
const MODE_DEAD = '3';
const KILLED =
  'the filter kills where it should refuse (SCMP_ACT_ERRNO), or does not allow what the stub lives on: futex';
/** Where nobody may make a directory: with a filter the answer comes before anybody looks. */
const NOWHERE = '/proc/strata-lab';

const lab: Lab<Scene> = {
  needs: [],
  views: [statusView('Uid', 'NoNewPrivs', 'Seccomp', 'Seccomp_filters')],
  refusals: {
    'seccomp EACCES':
      'without CAP_SYS_ADMIN, a filter needs a process that will never gain privileges: setNoNewPrivileges() before it',
    'seccomp EINVAL': 'the operation is not SECCOMP_SET_MODE_FILTER, or the program is none',
    INVALID_CONFIG: 'the compiler says which field of the profile it does not understand',
    STUB_DIED: KILLED,
  },

  check(report, { hand }) {
    const mode = statusField(hand.pid, 'Seccomp');
    const isDead = mode === undefined || mode === MODE_DEAD;
    const hasFilter = report.expect({
      that: 'the process has a filter, and lives',
      expected: MODE_FILTER,
      found: mode ?? 'no such process',
      usually: isDead ? KILLED : 'seccomp(2) was not called, or not by this process',
    });
    if (!hasFilter) return;
    report.expect({
      that: 'it is an ordinary user, with no_new_privs',
      expected: '1000, 1',
      found: `${statusField(hand.pid, 'Uid')?.split('\t')[1]}, ${statusField(hand.pid, 'NoNewPrivs')}`,
      usually: 'the filter was set before the process had changed its user',
    });
    for (const name of ['mkdir', 'mkdirat'] as const) {
      if (syscallNumber(name) === undefined) continue;
      report.expect({
        that: `${name}(2) is refused by the filter`,
        expected: 'EPERM',
        found: tryMkdir(hand, name),
        usually:
          'the profile does not name it: what one wants to forbid has often more than one number (mkdir, mkdirat)',
      });
    }
    report.expect({
      that: 'a socket of AF_NETLINK is refused',
      expected: 'EPERM',
      found: trySocket(hand, AF_NETLINK),
      usually:
        'there is no rule for socket, or its condition does not hold: the first argument has index 0, and SCMP_CMP_EQ compares',
    });
    for (const [family, domain] of Object.entries({ AF_UNIX, AF_INET })) {
      report.expect({
        that: `a socket of ${family} is not`,
        expected: 'opened',
        found: trySocket(hand, domain),
        usually: 'the rule for socket has no `args`, or they compare otherwise than "equal to 16"',
      });
    }
  },
};
export default lab;

const outcome = (result: number): string => (result < 0 ? errnoName(-result) : 'done');

/** /proc has a way to refuse of its own: ENOENT. */
function tryMkdir({ sys }: Performer, name: SyscallName & ('mkdir' | 'mkdirat')): string {
  const args = name === 'mkdir' ? [NOWHERE, 0o700] : [AT_FDCWD, NOWHERE, 0o700];
  return outcome(sys.attempt(name, ...args));
}

function trySocket({ sys }: Performer, domain: number): string {
  const result = sys.attempt('socket', domain, SOCK_DGRAM + SOCK_CLOEXEC, 0);
  if (result === -EPERM) return 'EPERM';
  if (result < 0) return outcome(result);
  sys.close(result);
  return 'opened';
}
