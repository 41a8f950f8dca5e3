/**
 * A listening Unix socket on the event loop, for peers that send descriptors: Node's own sockets
 * cannot take them.
 *
 *   using listener = UnixListener.listen(path);
 *   const connection = await listener.accept({ signal });     // ours to close
 */
import { unlinkSync } from 'node:fs';
import { ENOENT } from '../errors/errno.ts';
import { errnoOf } from '../errors/strata-error.ts';
import { AF_UNIX, SOCK_NONBLOCK, SOCK_STREAM } from '../syscalls/constants.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { readable, type WaitOptions } from './readiness.ts';

const BACKLOG = 16;

/** Disposing closes the socket, removes its path, and gives up what waits. */
export class UnixListener implements Disposable {
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
  static listen(path: string): UnixListener {
    const sys = localSyscalls();
    const fd = sys.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    try {
      sys.bindUnix(fd, path);
      sys.listen(fd, BACKLOG);
      return new UnixListener(path, fd);
    } catch (error) {
      sys.close(fd);
      throw error;
    }
  }

  /** Aborted when this is disposed of, or by the caller's own signal. */
  signalWith({ signal }: WaitOptions): AbortSignal {
    return signal ? AbortSignal.any([this.#end.signal, signal]) : this.#end.signal;
  }

  /** The next connection: non-blocking, close-on-exec, the caller's to close. */
  async accept(options: WaitOptions = {}): Promise<number> {
    const signal = this.signalWith(options);
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
