/**
 * Console sockets: how a runtime hands a container's terminal to whoever asked for the container.
 *
 *   runtime                                    caller (a shim, an engine)
 *                                              ConsoleSocket.listen(path)
 *   sendConsole(path, master)   ── connect ──▶
 *                               ── "/dev/ptmx" + SCM_RIGHTS [master] ──▶   receive(): master
 *
 * What comes is judged before it is used: exactly one descriptor, and that the master of a PTY.
 * Everything else that came along is closed.
 *
 * @see unix(7), runc's docs/terminals.md
 */
import { StrataError } from '../errors/strata-error.ts';
import { readable, type WaitOptions } from '../events/readiness.ts';
import { UnixListener } from '../events/unix-listener.ts';
import { AF_UNIX, SOCK_STREAM } from '../syscalls/constants.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { requireMaster } from './pty.ts';

/** Runtimes send one; a few more are taken so that they can be counted and closed. */
const MOST_DESCRIPTORS = 8;

/**
 * Hands a PTY's master to whoever listens on `path`. The master stays open here.
 * @throws {StrataError} CONSOLE_SOCKET naming the path
 */
export function sendConsole(path: string, master: number, sys = localSyscalls()): void {
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

/** The caller's side: a socket that takes terminals. Disposing closes it and removes its path. */
export class ConsoleSocket implements Disposable {
  readonly #listener: UnixListener;

  private constructor(listener: UnixListener) {
    this.#listener = listener;
  }

  get path(): string {
    return this.#listener.path;
  }

  /**
   * @param path at most 107 bytes; nothing may be there
   * @throws {SyscallError} EADDRINUSE, EACCES, ENOENT
   */
  static listen(path: string): ConsoleSocket {
    return new ConsoleSocket(UnixListener.listen(path));
  }

  /**
   * The master of the next terminal that is sent, close-on-exec; ours to close.
   * @throws {StrataError} CONSOLE_REPLY where the peer sends something else
   */
  async receive(options: WaitOptions = {}): Promise<number> {
    const signal = this.#listener.signalWith(options);
    const connection = await this.#listener.accept({ signal });
    try {
      await readable(connection, { signal });
      return receiveMaster(connection);
    } finally {
      localSyscalls().close(connection);
    }
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
  }
}

/**
 * Takes a terminal's master from a connected socket that has something to read.
 * @throws {StrataError} CONSOLE_REPLY where it is not exactly one master; nothing stays open
 */
export function receiveMaster(connection: number): number {
  const sys = localSyscalls();
  const { descriptors } = sys.receiveDescriptors(connection, MOST_DESCRIPTORS);
  const [master, ...more] = descriptors;
  try {
    if (master === undefined || more.length > 0) {
      const message = `a console socket was sent ${descriptors.length} descriptors in place of one`;
      throw new StrataError('CONSOLE_REPLY', message);
    }
    requireMaster(sys, master);
    return master;
  } catch (cause) {
    for (const fd of descriptors) sys.close(fd);
    if (cause instanceof StrataError && cause.code === 'CONSOLE_REPLY') throw cause;
    const message = `a console socket was sent what is no terminal: ${(cause as Error).message}`;
    throw new StrataError('CONSOLE_REPLY', message, { cause });
  }
}
