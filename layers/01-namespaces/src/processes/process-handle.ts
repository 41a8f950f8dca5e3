/**
 * A process by its descriptor (pidfd): a pid may become another process's, a pidfd cannot.
 *
 *   using child = ProcessHandle.open(pid);
 *   child.signal(SIGTERM);
 *   const status = await child.wait();      // ours to reap; `exited()` for somebody else's
 *
 * On Node's event loop: no thread waits, and thousands of processes cost one descriptor each.
 *
 * @see pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), waitid(2)
 */

import { ESRCH } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { readable, type WaitOptions } from '../events/readiness.ts';
import { POLLIN, WEXITED, WNOHANG } from '../syscalls/constants.ts';
import type { ChildStatus } from '../syscalls/process-calls.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';

export class ProcessHandle implements Disposable {
  readonly pid: number;
  readonly #end = new AbortController();
  #fd: number | undefined;

  private constructor(pid: number, fd: number) {
    this.pid = pid;
    this.#fd = fd;
  }

  /**
   * @throws {SyscallError} ESRCH where there is no such process, EINVAL for a thread that leads none,
   *   ENOSYS before Linux 5.3
   */
  static open(pid: number): ProcessHandle {
    return new ProcessHandle(pid, localSyscalls().pidfdOpen(pid));
  }

  /** As `open`; undefined where the process has gone. */
  static find(pid: number): ProcessHandle | undefined {
    const fd = localSyscalls().attempt('pidfd_open', pid, 0);
    if (fd === -ESRCH) return undefined;
    if (fd < 0) throw localSyscalls().failure('pidfd_open', -fd, [pid, 0]);
    return new ProcessHandle(pid, fd);
  }

  /** Ours until disposed. @throws {StrataError} EBADF afterwards */
  get fd(): number {
    if (this.#fd === undefined) {
      throw new StrataError('EBADF', `the handle of process ${this.pid} was disposed`);
    }
    return this.#fd;
  }

  /** Whether it has ended; a zombie has. */
  get hasExited(): boolean {
    return (localSyscalls().poll(this.fd, POLLIN, 0) & POLLIN) !== 0;
  }

  /** Sends a signal. @throws {SyscallError} ESRCH where it has ended, EPERM */
  signal(signal: number): void {
    localSyscalls().pidfdSendSignal(this.fd, signal);
  }

  /** As `signal`; false where the process has ended. */
  trySignal(signal: number): boolean {
    const result = localSyscalls().attempt('pidfd_send_signal', this.fd, signal, null, 0);
    if (result < 0 && result !== -ESRCH) {
      throw localSyscalls().failure('pidfd_send_signal', -result, [this.fd, signal]);
    }
    return result === 0;
  }

  /** A duplicate of one of its descriptors. @throws {SyscallError} EBADF, EPERM without ptrace rights */
  takeDescriptor(number: number): number {
    return localSyscalls().pidfdGetfd(this.fd, number);
  }

  /** Resolves when it has ended; anybody may wait. Rejected with AbortError when disposed before. */
  async exited(options: WaitOptions = {}): Promise<void> {
    const signals = [this.#end.signal, ...(options.signal ? [options.signal] : [])];
    while (!this.hasExited) await readable(this.fd, { signal: AbortSignal.any(signals) });
  }

  /**
   * Resolves with how it ended, and takes it out of the process table.
   * @throws {SyscallError} ECHILD where it is not our child, or somebody else has reaped it
   */
  async wait(options: WaitOptions = {}): Promise<ChildStatus> {
    for (;;) {
      await this.exited(options);
      const status = this.poll();
      if (status) return status;
    }
  }

  /** As `wait`, without waiting: undefined while it runs. */
  poll(): ChildStatus | undefined {
    return localSyscalls().waitidPidfd(this.fd, WEXITED | WNOHANG);
  }

  /** Closes the descriptor; pending waits are rejected. The process goes on. */
  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    this.#end.abort();
    localSyscalls().close(this.#fd);
    this.#fd = undefined;
  }
}
