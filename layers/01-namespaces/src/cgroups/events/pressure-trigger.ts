/**
 * A trigger of pressure stall information: the kernel tells when processes of a cgroup stood still for
 * longer than `stallUs` within `windowUs`, at most once in each window.
 *
 *   memory.pressure  ◀──  'some 150000 2000000'
 *   memory.pressure  ──▶  POLLPRI
 *
 * Node's loop knows no POLLPRI, but epoll(7) does, and an epoll descriptor is readable for any loop
 * when it has something. Being polled takes the event from the file, and the loop has polled it: there
 * is nothing left to be fetched.
 *
 * @see Documentation/accounting/psi.rst, "Monitoring for pressure thresholds"
 */
import { existsSync } from 'node:fs';
import { StrataError } from '../../errors/strata-error.ts';
import { Readiness } from '../../events/readiness.ts';
import { EPOLL_CTL_ADD, O_CLOEXEC, O_NONBLOCK, O_RDWR } from '../../syscalls/constants.ts';
import { localSyscalls } from '../../syscalls/syscalls.ts';

export interface StallOptions {
  resource: 'cpu' | 'memory' | 'io';
  /** Of some processes (default), or of all at once. */
  kind?: 'some' | 'full';
  /** Microseconds within a window. */
  stallUs: number;
  /** 500 ms to 10 s; without CAP_SYS_RESOURCE a multiple of the default, 2 s. */
  windowUs?: number;
}

const DEFAULT_WINDOW_US = 2_000_000;
const EPOLLPRI = 0x2;
const EVENT_BYTES = 16;

export class PressureTrigger implements AsyncIterable<void>, Disposable {
  readonly #resources = new DisposableStack();
  readonly #path: string;
  readonly #ready: Readiness;

  /**
   * @param directory of the cgroup in the v2 hierarchy
   * @throws {StrataError} CGROUP_WATCH for a window that the kernel does not take; SyscallError ENOENT,
   *   EOPNOTSUPP where it measures no pressure
   */
  constructor(directory: string, options: StallOptions) {
    const { resource, kind = 'some', stallUs, windowUs = DEFAULT_WINDOW_US } = options;
    const sys = localSyscalls();
    const path = `${directory}/${resource}.pressure`;
    this.#path = path;
    const own = (fd: number): number => this.#resources.adopt(fd, (each) => sys.close(each));
    try {
      const fd = own(sys.openat2(path, { flags: O_RDWR | O_CLOEXEC | O_NONBLOCK }));
      const request = `${kind} ${stallUs} ${windowUs}`;
      // With its NUL, as the kernel's example writes it.
      const result = sys.attempt('write', fd, request, request.length + 1);
      if (result < 0) throw refused(path, -result, request);
      const epoll = own(sys.epollCreate1());
      const interest = new Uint8Array(EVENT_BYTES);
      new DataView(interest.buffer).setUint32(0, EPOLLPRI, true);
      sys.call('epoll_ctl', epoll, EPOLL_CTL_ADD, fd, interest);
      this.#ready = this.#resources.use(new Readiness(epoll, 'readable'));
    } catch (error) {
      this.#resources.dispose();
      throw error;
    }
  }

  /** Ends when the cgroup is removed, or this disposed of. */
  async *[Symbol.asyncIterator](): AsyncGenerator<void> {
    for await (const _ of this.#ready) {
      // A removed file is ready for ever.
      if (this.#resources.disposed || !existsSync(this.#path)) return;
      yield;
    }
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

function refused(path: string, errno: number, request: string): StrataError {
  const message = `${path} does not take ${JSON.stringify(request)}`;
  const hint = 'the window is 500 ms to 10 s, without CAP_SYS_RESOURCE a multiple of 2 s';
  return new StrataError('CGROUP_WATCH', message, { path, errno, hint });
}
