/** Processes by identity: a pid may be another's by now, so it is looked at through a descriptor. */
import { EINVAL, ESRCH, localSyscalls } from '@strata/namespaces';
import { isAlive, type ProcessIdentity } from '@strata/oci-runtime';

const PIDFD_SIGNAL_PROCESS_GROUP = 4;

/** A descriptor of that very process; undefined where it has ended. The caller closes it. */
export function openProcess(identity: ProcessIdentity | undefined): number | undefined {
  if (!identity) return undefined;
  const sys = localSyscalls();
  const pidfd = sys.attempt('pidfd_open', identity.pid, 0);
  if (pidfd < 0) return undefined;
  // Checked after the open: from here on the descriptor cannot come to mean another process.
  if (isAlive(identity)) return pidfd;
  sys.close(pidfd);
  return undefined;
}

/** Signals it, or with `group` all of the group it leads. @returns false where it has ended */
export function signalProcess(
  identity: ProcessIdentity | undefined,
  signal: number,
  options: { group?: boolean } = {},
): boolean {
  const pidfd = openProcess(identity);
  if (pidfd === undefined) return false;
  const sys = localSyscalls();
  const flags = options.group ? PIDFD_SIGNAL_PROCESS_GROUP : 0;
  let result = sys.attempt('pidfd_send_signal', pidfd, signal, null, flags);
  // Before Linux 6.9. The descriptor has just said that the pid is still its.
  if (result === -EINVAL && flags !== 0) result = sys.attempt('kill', -identity!.pid, signal);
  sys.close(pidfd);
  if (result < 0 && result !== -ESRCH) {
    throw sys.failure('pidfd_send_signal', -result, [identity!.pid, signal]);
  }
  return result === 0;
}
