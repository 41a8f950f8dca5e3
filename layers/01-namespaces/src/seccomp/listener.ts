/**
 * The other end of SCMP_ACT_NOTIFY: system calls of processes under a filter wait here for an answer.
 *
 *   process under the filter         kernel                 listener
 *   mount(...)            ──▶  a notification waits  ──▶  receive(): { id, pid, call }
 *     (asleep)                                            ... reads its memory, acts for it ...
 *                                                         isValid(id)?    is it still the same call
 *   mount() = result      ◀──  value, errno or       ◀──  respond(id, answer)
 *                              "go on yourself"
 *
 * Rules of use:
 * - Whatever is read of the process (/proc/PID/mem, a path) may belong to another process that has got
 *   its pid: ask isValid after reading, before using what was read.
 * - An agent that lets a call `continue` decides nothing: another thread can change the arguments in
 *   memory meanwhile. It is for calls that the filter would have been right to allow.
 * - When the listener is closed, calls that wait or come later fail with ENOSYS.
 *
 * @see seccomp_unotify(2)
 */
import { ENOENT } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { readable, type WaitOptions } from '../events/readiness.ts';
import {
  POLLIN,
  SECCOMP_ADDFD_FLAG_SEND,
  SECCOMP_ADDFD_FLAG_SETFD,
  SECCOMP_IOCTL_NOTIF_ADDFD,
  SECCOMP_IOCTL_NOTIF_ID_VALID,
  SECCOMP_IOCTL_NOTIF_RECV,
  SECCOMP_IOCTL_NOTIF_SEND,
  SECCOMP_IOCTL_NOTIF_SET_FLAGS,
  SECCOMP_USER_NOTIF_FLAG_CONTINUE,
} from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import { structLayout } from '../syscalls/struct-layout.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import type { SeccompData } from './interpret.ts';
import { notificationSizes } from './kernel-support.ts';
import { syscallName } from './syscall-names.ts';

/** struct seccomp_notif, with struct seccomp_data written out. */
const NOTIFICATION = structLayout(80, {
  id: 'u64',
  pid: 'u32',
  flags: 'u32',
  nr: 'i32',
  arch: 'u32',
  instructionPointer: 'u64',
  arg0: 'u64',
  arg1: 'u64',
  arg2: 'u64',
  arg3: 'u64',
  arg4: 'u64',
  arg5: 'u64',
});

/** struct seccomp_notif_resp. */
const RESPONSE = structLayout(24, { id: 'u64', val: 'i64', error: 'i32', flags: 'u32' });

/** struct seccomp_notif_addfd. */
const ADD_DESCRIPTOR = structLayout(24, {
  id: 'u64',
  flags: 'u32',
  srcfd: 'u32',
  newfd: 'u32',
  newfd_flags: 'u32',
});

const O_CLOEXEC = 0o2000000;

/** A system call that waits for its answer. */
export interface SeccompNotification {
  /** Unique among the notifications of this listener. */
  id: bigint;
  /** Of the thread, in the listener's PID namespace; 0 where it is not to be seen from there. */
  pid: number;
  call: Required<SeccompData>;
  /** The call's name, where its interface is known. */
  name: string | undefined;
}

/** What the call comes to: it returns a value, fails, or is executed after all. */
export type SeccompAnswer = { value: bigint } | { errno: number } | 'continue';

export interface AddedDescriptor {
  /** The number it gets there, in place of what is open under it; default: the lowest free one. */
  target?: number;
  closeOnExec?: boolean;
  /** The call returns the new number at once: answering it in one step, so that nothing can fail. */
  answers?: boolean;
}

export type SeccompHandler = (
  notification: SeccompNotification,
  listener: SeccompListener,
) => SeccompAnswer | 'answered' | Promise<SeccompAnswer | 'answered'>;

/** Owns the descriptor that seccomp(2) returned; disposing closes it. */
export class SeccompListener implements Disposable {
  readonly #bytes: number;
  readonly #end = new AbortController();
  #fd: number | undefined;

  /**
   * @param fd becomes the listener's, and is closed where this fails
   * @throws {StrataError} ENOTSUP where the kernel's structs are shorter than those we know
   */
  constructor(fd: number) {
    const sizes = notificationSizes();
    if (sizes.notification < NOTIFICATION.size || sizes.response !== RESPONSE.size) {
      localSyscalls().close(fd);
      const { notification, response } = sizes;
      const message = `seccomp notifications of ${notification} and ${response} bytes, not 80 and 24`;
      throw new StrataError('ENOTSUP', message, { syscall: 'seccomp' });
    }
    this.#bytes = sizes.notification;
    this.#fd = fd;
  }

  get fd(): number {
    if (this.#fd === undefined) throw new StrataError('EBADF', 'the seccomp listener is closed');
    return this.#fd;
  }

  /**
   * The next call that waits; undefined where none does, or its thread was killed meanwhile.
   * @throws {SyscallError}
   */
  receive(): SeccompNotification | undefined {
    const sys = localSyscalls();
    // NOTIF_RECV itself would wait; and no other than us takes what poll(2) has seen.
    if ((sys.poll(this.fd, POLLIN, 0) & POLLIN) === 0) return undefined;
    // Has to be all zeros.
    const room = new Out(new Uint8Array(this.#bytes));
    const result = sys.attempt('ioctl', this.fd, SECCOMP_IOCTL_NOTIF_RECV, room);
    if (result === -ENOENT) return undefined;
    if (result < 0) throw sys.failure('ioctl', -result, [this.fd, 'NOTIF_RECV']);
    return parseNotification(room.bytes);
  }

  /** Whether the call still waits: false once its thread was killed or has taken a signal. */
  isValid(id: bigint): boolean {
    const word = new Uint8Array(BigUint64Array.of(id).buffer);
    return this.#ask(SECCOMP_IOCTL_NOTIF_ID_VALID, word) !== undefined;
  }

  /**
   * Answers a call. False where it no longer waits.
   * @throws {SyscallError} EINPROGRESS where it was answered before
   */
  respond(id: bigint, answer: SeccompAnswer): boolean {
    const said =
      answer === 'continue'
        ? { flags: SECCOMP_USER_NOTIF_FLAG_CONTINUE }
        : 'errno' in answer
          ? { error: -answer.errno }
          : { val: answer.value };
    return this.#ask(SECCOMP_IOCTL_NOTIF_SEND, RESPONSE.pack({ id, ...said })) !== undefined;
  }

  /**
   * Opens our descriptor in the process that waits; returns its number there, undefined where the
   * call no longer waits.
   *
   * @throws {SyscallError} EBADF, EMFILE; EINVAL for `answers` before Linux 5.14
   * @see seccomp_unotify(2), SECCOMP_IOCTL_NOTIF_ADDFD
   */
  addDescriptor(id: bigint, fd: number, options: AddedDescriptor = {}): number | undefined {
    const { target, closeOnExec = true, answers = false } = options;
    const request = ADD_DESCRIPTOR.pack({
      id,
      flags:
        (target === undefined ? 0 : SECCOMP_ADDFD_FLAG_SETFD) +
        (answers ? SECCOMP_ADDFD_FLAG_SEND : 0),
      srcfd: fd,
      newfd: target ?? 0,
      newfd_flags: closeOnExec ? O_CLOEXEC : 0,
    });
    return this.#ask(SECCOMP_IOCTL_NOTIF_ADDFD, request);
  }

  /**
   * SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: the process that waits and the one that answers are woken on
   * one CPU, as they never run at the same time. Linux 6.6.
   *
   * @throws {SyscallError} EINVAL on older kernels
   */
  setFlags(flags: number): void {
    localSyscalls().ioctl(this.fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
  }

  /**
   * Answers every call with what `handle` returns ('answered' where it did so itself), until no
   * process is left under the filter, or this is disposed, or `signal` aborts. One call after the
   * other: while a handler waits, so do the other calls.
   *
   * @throws what `handle` throws, with the listener closed, so that nobody waits for ever
   */
  async serve(handle: SeccompHandler, options: WaitOptions = {}): Promise<void> {
    const signals = [this.#end.signal, ...(options.signal ? [options.signal] : [])];
    const signal = AbortSignal.any(signals);
    try {
      for (;;) {
        await readable(this.fd, { signal });
        const notification = this.receive();
        if (notification) await this.#answer(notification, handle);
        else if (!this.#hasProcesses()) return;
      }
    } catch (error) {
      const isClosed = this.#fd === undefined;
      this[Symbol.dispose]();
      if (!isClosed || !signal.aborted) throw error;
    }
  }

  async #answer(notification: SeccompNotification, handle: SeccompHandler): Promise<void> {
    const answer = await handle(notification, this);
    if (answer !== 'answered' && this.#fd !== undefined) this.respond(notification.id, answer);
  }

  /** Without a process under the filter there is nothing more to come, and poll(2) says POLLHUP. */
  #hasProcesses(): boolean {
    return localSyscalls().poll(this.fd, POLLIN, 0) === 0;
  }

  /** The result of an ioctl about a notification; undefined where that is gone. */
  #ask(request: number, bytes: Uint8Array): number | undefined {
    const sys = localSyscalls();
    const result = sys.attempt('ioctl', this.fd, request, bytes);
    if (result === -ENOENT) return undefined;
    if (result < 0) throw sys.failure('ioctl', -result, [this.fd, request]);
    return result;
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    this.#end.abort();
    localSyscalls().close(fd);
  }
}

function parseNotification(bytes: Uint8Array): SeccompNotification {
  const { id, pid, nr, arch, instructionPointer, ...rest } = NOTIFICATION.unpack(bytes);
  const { arg0, arg1, arg2, arg3, arg4, arg5 } = rest;
  const args = [arg0, arg1, arg2, arg3, arg4, arg5];
  const call = { nr: nr >>> 0, arch, instructionPointer, args };
  return { id, pid, call, name: syscallName(call) };
}
