/**
 * The notifications of the v1 memory controller: an eventfd(2) that counts them.
 *
 *   cgroup.event_control  ◀──  '<eventfd> <descriptor of the file> <argument>'
 *
 *   memory.oom_control      no argument
 *   memory.pressure_level   low | medium | critical
 *   memory.usage_in_bytes   bytes
 *
 * The kernel also counts one when the cgroup is removed.
 *
 * @see eventfd(2), Documentation/admin-guide/cgroup-v1/memory.rst, sections 9 to 11
 */
import { Readiness } from '../../events/readiness.ts';
import { O_CLOEXEC, O_RDONLY, SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../syscalls/constants.ts';
import { localSyscalls } from '../../syscalls/syscalls.ts';
import { writeCgroupFile } from '../cgroup-file.ts';

const EFD_CLOEXEC = SOCK_CLOEXEC;
const EFD_NONBLOCK = SOCK_NONBLOCK;
const COUNTER_BYTES = 8;

export class MemoryNotifications implements AsyncIterable<void>, Disposable {
  readonly #eventFd: number;
  readonly #ready: Readiness;
  #isOpen = true;

  /**
   * @param directory of the cgroup in the memory hierarchy
   * @throws {StrataError} CGROUP_WRITE, SyscallError ENOENT where the kernel or the cgroup has no such file
   */
  constructor(directory: string, file: string, argument: string) {
    const sys = localSyscalls();
    this.#eventFd = sys.call('eventfd2', 0, EFD_CLOEXEC | EFD_NONBLOCK);
    this.#ready = new Readiness(this.#eventFd, 'readable');
    try {
      const fd = sys.openat2(`${directory}/${file}`, { flags: O_RDONLY | O_CLOEXEC });
      try {
        const request = `${this.#eventFd} ${fd} ${argument}`.trim();
        writeCgroupFile(`${directory}/cgroup.event_control`, request, `watch ${file}`);
      } finally {
        // The kernel looks at the file only now; the eventfd holds the registration.
        sys.close(fd);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<void> {
    const counter = new Uint8Array(COUNTER_BYTES);
    for await (const _ of this.#ready) {
      if (!this.#isOpen) return;
      if (localSyscalls().readIfReady(this.#eventFd, counter) !== undefined) yield;
    }
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#ready[Symbol.dispose]();
    localSyscalls().close(this.#eventFd);
  }
}
