/**
 * The session keyring of a container's process: not the one that the runtime's caller is in, whose
 * keys root in the container could read, for it is uid 0 to them too.
 *
 * runc lets whoever has the uid join a container's keyring by its name, so that exec can, and with it
 * root of every other container. Here each process has one of its own.
 *
 * @see session-keyring(7), keyctl(2)
 */
import { ENOSYS, KEYCTL_JOIN_SESSION_KEYRING, type Syscalls } from '@strata/namespaces';

/** Leaves the session keyring for a new one. */
export function leaveKeyring(sys: Syscalls, id: string): void {
  const args = [KEYCTL_JOIN_SESSION_KEYRING, `_ses.${id}`, 0, 0, 0];
  sys.later('keyctl', args, { accepts: [ENOSYS] });
}
