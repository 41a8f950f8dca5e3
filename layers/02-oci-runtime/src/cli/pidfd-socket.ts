/**
 * `--pidfd-socket`: hands a process to whoever waits on a unix socket, by a descriptor that stays its own
 * whatever becomes of its number.
 *
 * @see pidfd_open(2), runc tests/cmd/pidfd-kill
 */
import { AF_UNIX, type Flag, localSyscalls, SOCK_STREAM, StrataError } from '@strata/namespaces';

export const PIDFD_SOCKET: Flag = {
  type: 'string',
  value: 'PATH',
  help: 'unix socket that receives a pidfd of the process',
};

/**
 * @param kind what runc says with it: `standard` of an init, `setns` of an exec
 * @throws {StrataError} PIDFD_SOCKET naming the path
 */
export function sendPidfd(path: string, pid: number, kind: 'standard' | 'setns'): void {
  const sys = localSyscalls();
  const pidfd = sys.pidfdOpen(pid);
  const socket = sys.socket(AF_UNIX, SOCK_STREAM, 0);
  try {
    sys.connectUnix(socket, path);
    sys.sendDescriptors(socket, kind, [pidfd]);
  } catch (cause) {
    const message = `pidfd socket ${path}: ${(cause as Error).message}`;
    const hint = 'the socket must exist and be listening before';
    throw new StrataError('PIDFD_SOCKET', message, { path, cause, hint });
  } finally {
    sys.close(socket);
    sys.close(pidfd);
  }
}
