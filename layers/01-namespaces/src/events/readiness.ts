/**
 * Descriptors on Node's event loop: pipes, sockets, PTYs, pidfds, inotify, netlink. No thread waits.
 *
 *   await readable(fd);                              // once
 *   await readable(fd, { signal });                  // or until aborted
 *   using events = new Readiness(fd, 'readable');    // again and again
 *   for await (const event of events) ...            // ends when the other side hangs up
 *
 * The descriptor stays the caller's: it must be open for as long as it is waited for, and is not
 * closed here.
 *
 * @see poll(2)
 */
import { EPERM, errnoName } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { EPOLL_CTL_ADD, F_DUPFD_CLOEXEC } from '../syscalls/constants.ts';
import { type PollEvents, type Watch, watchDescriptor } from '../syscalls/libc.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';

export type Direction = 'readable' | 'writable';

export interface WaitOptions {
  /** Gives the waiting up: the promise is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * Calls back whenever `fd` is ready.
 *
 * Node's loop takes a number only once, and koffi ends the process (Error::New, fatal) when it is
 * refused, be it for that or for a file that cannot be polled. So the loop gets a duplicate, whose
 * number nobody else can have given it, and the kernel is asked first.
 *
 * @throws {StrataError} NOT_POLLABLE for a regular file or a descriptor that is not open
 */
function watch(fd: number, direction: Direction, callback: (events: PollEvents) => void): Watch {
  const sys = localSyscalls();
  const own = sys.attempt('fcntl', fd, F_DUPFD_CLOEXEC, 0);
  const errno = own < 0 ? -own : pollErrno(sys, own);
  if (errno !== 0) {
    if (own >= 0) sys.close(own);
    throw new StrataError('NOT_POLLABLE', `descriptor ${fd} cannot be waited for`, {
      errno,
      hint: errno === EPERM ? 'regular files are always ready' : `errno ${errnoName(errno)}`,
    });
  }
  const interest = { [direction]: true, disconnect: direction === 'readable' };
  const handle = watchDescriptor(own, interest, callback);
  let isOpen = true;
  return {
    close() {
      if (!isOpen) return;
      isOpen = false;
      handle.close();
      sys.close(own);
    },
  };
}

/** Why epoll(7) does not take a descriptor; 0 where it does. */
function pollErrno(sys: Syscalls, fd: number): number {
  const epoll = sys.epollCreate1();
  try {
    return -sys.attempt('epoll_ctl', epoll, EPOLL_CTL_ADD, fd, new Uint8Array(16));
  } finally {
    sys.close(epoll);
  }
}

/**
 * Resolves when `fd` can be read from, or the other side has hung up.
 * @throws {StrataError} NOT_POLLABLE
 */
export function readable(fd: number, options: WaitOptions = {}): Promise<void> {
  return once(fd, 'readable', options);
}

/** Resolves when `fd` can be written to, or writing would fail. @throws as `readable` */
export function writable(fd: number, options: WaitOptions = {}): Promise<void> {
  return once(fd, 'writable', options);
}

function once(fd: number, direction: Direction, { signal }: WaitOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const handle = watch(fd, direction, () => {
      handle.close();
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    const abort = (): void => {
      handle.close();
      reject(signal!.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/**
 * Each time `fd` is ready, as an async iterator. Between two events the descriptor is not watched, so
 * a consumer that takes its time is not called again and again. Ends when disposed.
 */
export class Readiness implements AsyncIterableIterator<void>, Disposable {
  readonly #fd: number;
  readonly #direction: Direction;
  readonly #end = new AbortController();

  constructor(fd: number, direction: Direction) {
    this.#fd = fd;
    this.#direction = direction;
  }

  async next(): Promise<IteratorResult<void>> {
    const { signal } = this.#end;
    if (signal.aborted) return { done: true, value: undefined };
    try {
      await once(this.#fd, this.#direction, { signal });
      return { done: false, value: undefined };
    } catch (error) {
      if (signal.aborted) return { done: true, value: undefined };
      throw error;
    }
  }

  /** What `break` in a `for await` calls. */
  async return(): Promise<IteratorResult<void>> {
    this[Symbol.dispose]();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }
}
