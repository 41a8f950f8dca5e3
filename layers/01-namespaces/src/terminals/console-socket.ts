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
import { unlinkSync } from 'node:fs';
import { ENOENT } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { readable, type WaitOptions } from '../events/readiness.ts';
import { AF_UNIX, SOCK_NONBLOCK, SOCK_STREAM } from '../syscalls/constants.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { requireMaster } from './pty.ts';

/** Runtimes send one; a few more are taken so that they can be counted and closed. */
const MOST_DESCRIPTORS = 8;
const BACKLOG = 8;

/**
 * Hands a PTY's master to whoever listens on `path`. The master stays open here.
 * @throws {StrataError} CONSOLE_SOCKET naming the path
 */
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

/** The caller's side: a socket that takes terminals. Disposing closes it and removes its path. */
export class ConsoleSocket implements Disposable {
  readonly path: string;
  readonly #end = new AbortController();
  #fd: number | undefined;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /**
   * @param path at most 107 bytes; nothing may be there
   * @throws {SyscallError} EADDRINUSE, EACCES, ENOENT
   */
  static listen(path: string): ConsoleSocket {
    const sys = localSyscalls();
    const fd = sys.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    try {
      sys.bindUnix(fd, path);
      sys.listen(fd, BACKLOG);
      return new ConsoleSocket(path, fd);
    } catch (error) {
      sys.close(fd);
      throw error;
    }
  }

  /**
   * The master of the next terminal that is sent, close-on-exec; ours to close.
   * @throws {StrataError} CONSOLE_REPLY where the peer sends something else
   */
  async receive(options: WaitOptions = {}): Promise<number> {
    const signals = [this.#end.signal, ...(options.signal ? [options.signal] : [])];
    const signal = AbortSignal.any(signals);
    const connection = await this.#accept(signal);
    try {
      await readable(connection, { signal });
      return receiveMaster(connection);
    } finally {
      localSyscalls().close(connection);
    }
  }

  async #accept(signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted();
      const connection = localSyscalls().accept4(this.#fd!, SOCK_NONBLOCK);
      if (connection !== undefined) return connection;
      await readable(this.#fd!, { signal });
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    this.#end.abort();
    localSyscalls().close(this.#fd);
    this.#fd = undefined;
    try {
      unlinkSync(this.path);
    } catch (error) {
      if (errnoOf(error) !== ENOENT) throw error;
    }
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
