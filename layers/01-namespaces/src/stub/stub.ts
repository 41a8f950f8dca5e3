/**
 * A stub: another process that executes our system calls (see program-text.ts).
 *
 * Interface:
 *   using stub = Stub.spawn({ title: 'strata: example' });
 *   stub.sys.unshare(CLONE_NEWUTS);
 *   const child = stub.clone({ flags: CLONE_NEWPID });     // a second stub, in new namespaces
 *   child.sys.sethostname('inside');
 *   child.become('/bin/true', ['true'], []);               // execve; from here on a program
 *
 * A stub that is disposed is killed and reaped. `detach` gives that up: the process lives on.
 */
import { StrataError } from '../errors/strata-error.ts';
import { StubDiedError } from '../errors/syscall-error.ts';
import { pidOfPidfd } from '../processes/pidfd-info.ts';
import {
  CLONE_PARENT,
  CLONE_PIDFD,
  F_ADD_SEALS,
  F_SEAL_GROW,
  F_SEAL_SHRINK,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_NOEXEC_SEAL,
  WEXITED,
} from '../syscalls/constants.ts';
import { type SyscallListener, tracingExecutor } from '../syscalls/executor.ts';
import { rawSyscall } from '../syscalls/libc.ts';
import { Out, Struct } from '../syscalls/memory.ts';
import { syscallNumber } from '../syscalls/numbers.ts';
import { type ChildStatus, type CloneOptions, cloneArguments } from '../syscalls/process-calls.ts';
import { SIGKILL } from '../syscalls/signals.ts';
import { localSyscalls, Syscalls } from '../syscalls/syscalls.ts';
import { type ArmedStub, type SyncedStub, startPart, startSynced } from './armed-stub.ts';
import { MailboxPart, type Operation } from './mailbox.ts';
import { MAILBOX_BYTES, MAILBOX_FD, PARTS } from './mailbox-layout.ts';
import { spawnStub } from './spawn.ts';
import { StubExecutor } from './stub-executor.ts';

export interface SpawnOptions {
  /** The stub's standard input, output and error, as our descriptors; default: ours. */
  stdio?: readonly [number, number, number];
  /** Further descriptors: number in the stub → our number. 3 is the mailbox's. */
  descriptors?: ReadonlyMap<number, number>;
  /** What ps(1) shows. */
  title?: string;
  /** Hears of every call the stub and its clones execute. */
  listener?: SyscallListener | undefined;
}

/** The shared memory of a stub and its clones; unmapped when the last of them is released. */
class Mailbox {
  readonly fd: number;
  readonly mapping: number;
  #users = 0;

  constructor(fd: number) {
    this.fd = fd;
    this.mapping = rawSyscall(syscallNumber('mmap')!, 0, MAILBOX_BYTES, 3, 1, fd, 0);
    if (this.mapping === -1) throw new StrataError('ENOMEM', 'cannot map a mailbox of 8 MiB');
  }

  static create(): Mailbox {
    const sys = localSyscalls();
    const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    // Nothing that could be executed. MFD_NOEXEC_SEAL is of Linux 6.3.
    let fd = sys.attempt('memfd_create', 'strata-mailbox', flags | MFD_NOEXEC_SEAL);
    if (fd < 0) fd = sys.memfdCreate('strata-mailbox', flags);
    sys.ftruncate(fd, MAILBOX_BYTES);
    // A page that vanished under a mapping would kill Node with SIGBUS.
    sys.call('fcntl', fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    return new Mailbox(fd);
  }

  use(): void {
    this.#users++;
  }

  release(): void {
    if (--this.#users > 0) return;
    rawSyscall(syscallNumber('munmap')!, this.mapping, MAILBOX_BYTES, 0, 0, 0, 0);
    localSyscalls().close(this.fd);
  }
}

interface StubProcess {
  pid: number;
  generation: number;
  isChild: boolean;
  listener: SyscallListener | undefined;
}

export class Stub implements Disposable {
  /** As the namespace of this process numbers it. */
  readonly pid: number;
  readonly sys: Syscalls;
  readonly #mailbox: Mailbox;
  readonly #executor: StubExecutor;
  readonly #listener: SyscallListener | undefined;
  /** Ours to reap: the process is a child of this one. */
  readonly #isChild: boolean;
  /** How many clones lie between it and the stub that was spawned: which part it serves. */
  readonly #generation: number;
  #state: 'serving' | 'detached' | 'ended' = 'serving';
  #isExiting = false;

  private constructor(mailbox: Mailbox, process: StubProcess) {
    mailbox.use();
    this.pid = process.pid;
    this.#mailbox = mailbox;
    this.#isChild = process.isChild;
    this.#listener = process.listener;
    this.#generation = process.generation;
    const part = new MailboxPart(mailbox.mapping, PARTS[process.generation]!);
    this.#executor = new StubExecutor(part, this.pid);
    const { listener } = process;
    this.sys = new Syscalls(listener ? tracingExecutor(this.#executor, listener) : this.#executor);
  }

  /**
   * Starts a stub as a child of this process.
   * @throws {SyscallError} where memory or processes are exhausted
   */
  static spawn(options: SpawnOptions = {}): Stub {
    const mailbox = Mailbox.create();
    const descriptors = new Map([[MAILBOX_FD, mailbox.fd]]);
    (options.stdio ?? [0, 1, 2]).forEach((fd, index) => {
      descriptors.set(index, fd);
    });
    for (const [target, source] of options.descriptors ?? []) descriptors.set(target, source);
    let pid: number;
    try {
      pid = spawnStub(descriptors, options.title ?? 'strata: stub');
    } catch (error) {
      mailbox.use();
      mailbox.release();
      throw error;
    }
    const { listener } = options;
    const stub = new Stub(mailbox, { generation: 0, pid, isChild: true, listener });
    stub.#awaitStart();
    return stub;
  }

  /**
   * Makes the stub clone itself; the child serves a further part of the mailbox. A stub can have one
   * child at a time that is served by us; the child one of its own, and so on, five in a row.
   *
   * @param options CLONE_* flags; with CLONE_PARENT the child of a spawned stub is one of this process
   * @throws {StrataError} TOO_MANY_GENERATIONS where the mailbox has no part left
   */
  clone(options: CloneOptions): Stub {
    return this.startClone(options)();
  }

  /**
   * Begins a clone and returns the function that waits for it. Making namespaces takes the kernel a
   * while, in which the caller can do something else; the stub itself takes no calls meanwhile.
   * @param first calls without pointers that the child makes at once, even if we are gone by then
   */
  startClone(options: CloneOptions, first: readonly Operation[] = []): () => Stub {
    const childPart = PARTS[this.#generation + 1];
    if (!childPart) {
      const message = `${PARTS.length} generations of stubs: no part of the mailbox is left`;
      throw new StrataError('TOO_MANY_GENERATIONS', message);
    }
    // Who was cloned may live in another PID namespace, and numbers its children as that does.
    const pidfd = this.#generation > 0 ? new Out(new Uint8Array(4)) : undefined;
    const args = pidfd
      ? withPidfd(cloneArguments({ ...options, flags: options.flags + CLONE_PIDFD }), pidfd)
      : cloneArguments(options);
    const operation: Operation = {
      name: 'clone3',
      args: [args, cloneArguments(options).length],
      childPart,
    };
    // What an earlier child left there must not look like the new one's.
    const stale = new MailboxPart(this.#mailbox.mapping, childPart);
    stale.clear();
    if (first.length > 0) {
      stale.prepare(first);
      stale.post();
    }
    this.#executor.flush();
    const startNs = Number(process.hrtime.bigint());
    this.#executor.begin([operation]);
    return () => {
      const pid = this.#executor.end([operation]);
      const durationNs = Number(process.hrtime.bigint()) - startNs;
      this.#listener?.({ name: 'clone3', args: operation.args, result: pid, startNs, durationNs });
      if (pid < 0) throw this.sys.failure('clone3', -pid, [options.flags]);
      const child = this.#adoptClone(pidfd ? this.#ownPidOf(pidfd) : pid, options.flags);
      if (first.length > 0) child.#executor.end(first);
      return child;
    };
  }

  /** Our number of the child whose pidfd, a descriptor of the stub, is in `out`. */
  #ownPidOf(out: Out): number {
    const pidfd = new DataView(out.bytes.buffer).getInt32(0, true);
    const sys = localSyscalls();
    const descriptors: number[] = [];
    try {
      descriptors.push(sys.pidfdOpen(this.pid));
      descriptors.push(sys.pidfdGetfd(descriptors[0]!, pidfd));
      return pidOfPidfd(descriptors[1]!);
    } catch (error) {
      this.sys.attempt('pidfd_send_signal', pidfd, SIGKILL, null, 0);
      throw error;
    } finally {
      for (const fd of descriptors) sys.close(fd);
      this.sys.close(pidfd);
    }
  }

  #adoptClone(pid: number, flags: number): Stub {
    const child = new Stub(this.#mailbox, {
      generation: this.#generation + 1,
      pid,
      isChild: this.#isChild && Math.floor(flags / CLONE_PARENT) % 2 === 1,
      listener: this.#listener,
    });
    child.#awaitStart();
    return child;
  }

  #awaitStart(): void {
    if (this.#executor.part.awaitAddress(this.#executor.isAlive)) return;
    this[Symbol.dispose]();
    throw new StubDiedError('start', this.pid);
  }

  /**
   * Writes a program that the stub will execute alone once it is started, by `run` or by another
   * process that has the mailbox. The stub cannot be asked for anything else after this.
   */
  prepare(operations: readonly Operation[]): void {
    this.#executor.flush();
    this.#executor.part.prepare(operations);
    this.#executor.part.arm();
  }

  /** Starts the prepared program and does not wait for it. */
  run(): void {
    this.#executor.part.post();
  }

  /**
   * Starts the prepared program, which ends in an execve, and waits until that is done.
   * @param program as for `startArmedStub`, which does it from other processes
   * @throws {SyscallError} of the call that failed, execve included
   */
  start(program: Omit<ArmedStub, 'pid'>): void {
    startPart(this.#executor.part, { ...program, pid: this.pid });
  }

  /** As `start`, by a pipe that is ours: works with a process that may not be traced too. */
  startSynced(program: SyncedStub): void {
    startSynced(this.#executor.part, program);
  }

  /** Executes operations as one program, waiting for its end; returns their raw results. */
  execute(operations: readonly Operation[]): number[] {
    this.#executor.flush();
    this.#executor.execute(operations);
    return operations.map((_, index) => this.#executor.part.result(index));
  }

  /** The raw result of an operation of the prepared program. */
  result(index: number): number {
    return this.#executor.part.result(index);
  }

  /** Whether the prepared program has come to its end. */
  get done(): boolean {
    return this.#executor.part.done;
  }

  get isAlive(): boolean {
    return this.#executor.isAlive();
  }

  /** Our descriptor of the shared memory, for as long as this stub is held. */
  get mailboxFd(): number {
    return this.#mailbox.fd;
  }

  /** Lets the process live on without us; releases our side of the mailbox. */
  detach(): void {
    this.#release('detached');
  }

  /** Tells the process to exit, without waiting for it: `exit` or disposal still has to follow. */
  beginExit(status = 0): void {
    this.prepare([{ name: 'exit_group', args: [status] }]);
    this.run();
    this.#isExiting = true;
  }

  get isExiting(): boolean {
    return this.#isExiting;
  }

  /** Tells the process to exit, if that was not done yet, and reaps it if it is our child. */
  exit(status = 0): ChildStatus | undefined {
    if (!this.#isExiting) this.beginExit(status);
    return this.#reap();
  }

  /** Kills the process and reaps it. */
  [Symbol.dispose](): void {
    if (this.#state !== 'serving') return;
    // Until it is reaped, our child's pid cannot be another process's.
    localSyscalls().attempt('kill', this.pid, SIGKILL);
    this.#reap();
  }

  #reap(): ChildStatus | undefined {
    const status = this.#isChild ? localSyscalls().waitid(this.pid, WEXITED) : undefined;
    this.#release('ended');
    return status;
  }

  #release(state: 'detached' | 'ended'): void {
    if (this.#state !== 'serving') return;
    this.#state = state;
    this.#executor.release();
    this.#mailbox.release();
  }
}

/** struct clone_args with the address of where the kernel puts a pidfd of the child. */
const withPidfd = (args: Uint8Array, pidfd: Out): Struct => new Struct(args, new Map([[8, pidfd]]));
