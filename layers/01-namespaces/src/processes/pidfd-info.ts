/** Which process a pidfd is of: /proc/self/fdinfo/PIDFD, a line `Pid:`. @see pidfd_open(2) */
import { readFileSync } from 'node:fs';
import { ESRCH } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';

/**
 * The pid, as we number it, of the process behind a descriptor of ours.
 * @throws {StrataError} EBADF where there is no such descriptor, or it is none of a process; ESRCH
 */
export function pidOfPidfd(pidfd: number): number {
  let info: string;
  try {
    info = readFileSync(`/proc/self/fdinfo/${pidfd}`, 'latin1');
  } catch (cause) {
    throw new StrataError('EBADF', `no descriptor ${pidfd} is open`, { cause });
  }
  return parsePidfdInfo(info);
}

/** The pid in the text of /proc/self/fdinfo/PIDFD. @throws {StrataError} EBADF, ESRCH */
export function parsePidfdInfo(text: string): number {
  const [, pid] = /^Pid:[ \t]+(-?\d{1,10})$/m.exec(text) ?? [];
  if (pid === undefined) throw new StrataError('EBADF', 'the descriptor is not a pidfd');
  if (Number(pid) > 0) return Number(pid);
  throw new StrataError('ESRCH', 'the process of the pidfd has ended or is out of sight', {
    errno: ESRCH,
  });
}
