/** Hands a PTY's master to whoever listens on the console socket, as runc's callers expect. */
import { AF_UNIX, localSyscalls, SOCK_STREAM, StrataError } from '@strata/namespaces';

/** @throws {StrataError} CONSOLE_SOCKET naming the path */
export function sendConsole(path: string, master: number): void {
  const sys = localSyscalls();
  const socket = sys.socket(AF_UNIX, SOCK_STREAM, 0);
  try {
    sys.connectUnix(socket, path);
    sys.sendDescriptors(socket, '/dev/ptmx', [master]);
  } catch (cause) {
    throw new StrataError('CONSOLE_SOCKET', `console socket ${path}: ${(cause as Error).message}`, {
      path,
      cause,
      hint: 'the socket must exist and be listening before create',
    });
  } finally {
    sys.close(socket);
  }
}
