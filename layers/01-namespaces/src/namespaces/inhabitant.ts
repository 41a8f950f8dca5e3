/**
 * A process that was put into namespaces and is not a program yet: what is to be done inside is done
 * through `sys`, then it becomes one.
 *
 *   Node ── spawn ──▶ launcher ── clone(CLONE_PARENT) ──▶ inhabitant, our child ── execve ──▶ program
 *                     joins or is                          pid 1 of a new PID namespace
 *                     made to clone                        │
 *   pipe: read end ◀───────────────────────────────────────┘ write end, closed by execve
 *
 * A process moves into a PID or time namespace only by being born there: so there is always a clone.
 * Neither the mailbox nor any other descriptor of ours reaches the program.
 */
import { SyscallError } from '../errors/syscall-error.ts';
import { findProgram } from '../processes/find-program.ts';
import { ProcessHandle } from '../processes/process-handle.ts';
import { MAILBOX_FD } from '../stub/mailbox-layout.ts';
import { Stub } from '../stub/stub.ts';
import { POLLERR, POLLHUP, POLLIN, PR_SET_PDEATHSIG } from '../syscalls/constants.ts';
import { stringVector } from '../syscalls/memory.ts';
import { SIGKILL } from '../syscalls/signals.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';

/** The pipe's write end, in launcher and inhabitant. */
const EXEC_FD = 4;
/** The first number that is free for descriptors of `Launch`. */
export const FIRST_FREE_FD = 5;
/** Between two looks at the mailbox while the pipe is silent, in milliseconds. */
const LOOK_MS = 5;

export interface Launch {
  /** What ps(1) shows until it becomes a program. */
  title: string;
  /** Number in the launcher, from FIRST_FREE_FD on → ours. */
  descriptors?: ReadonlyMap<number, number>;
  /** Clones the launcher, with CLONE_PARENT. */
  clone(launcher: Stub): Stub;
}

export interface ProgramToRun {
  /** Looked for in $PATH, inside, where it has no slash. */
  path: string;
  /** With the name it shall know itself by as the first. */
  argv: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
}

export class Inhabitant implements Disposable {
  readonly #stub: Stub;
  readonly #readEnd: number;
  #isProgram = false;
  #closed = false;

  private constructor(stub: Stub, readEnd: number) {
    this.#stub = stub;
    this.#readEnd = readEnd;
  }

  /** @throws {SyscallError} of whatever `launch.clone` does; nothing is left then */
  static start(launch: Launch): Inhabitant {
    const sys = localSyscalls();
    const [readEnd, writeEnd] = sys.pipe2();
    try {
      const descriptors = new Map([...(launch.descriptors ?? []), [EXEC_FD, writeEnd]]);
      using launcher = Stub.spawn({ title: launch.title, descriptors });
      for (const fd of descriptors.keys()) launcher.sys.setCloseOnExec(fd, true);
      launcher.sys.setCloseOnExec(MAILBOX_FD, true);
      // Whoever kills us half-way kills what is half made; clone(2) does not inherit it.
      launcher.sys.setParentDeathSignal(SIGKILL);
      const stub = launch.clone(launcher);
      stub.sys.setParentDeathSignal(SIGKILL);
      return new Inhabitant(stub, readEnd);
    } catch (error) {
      sys.close(readEnd);
      throw error;
    } finally {
      sys.close(writeEnd);
    }
  }

  /** As our PID namespace numbers it. */
  get pid(): number {
    return this.#stub.pid;
  }

  /** Executes inside. */
  get sys(): Syscalls {
    return this.#stub.sys;
  }

  /** Takes ids that are mapped inside: groups first, as nobody who is not root may change them. */
  setIds(ids: { uid?: number; gid?: number; groups?: readonly number[] }): void {
    if (ids.groups) this.sys.setgroups(ids.groups);
    if (ids.gid !== undefined) this.sys.setresgid(ids.gid);
    if (ids.uid !== undefined) this.sys.setresuid(ids.uid);
    // The kernel forgets it with every change of ids: prctl(2), PR_SET_PDEATHSIG.
    this.sys.setParentDeathSignal(SIGKILL);
  }

  /**
   * Becomes a program, which lives on when the handle is disposed of, and when this process ends
   * unless `killWithUs` is said.
   * @returns its handle: `wait` tells how it ended
   * @throws {StrataError} ENOENT where there is no such program in $PATH
   * @throws {SyscallError} of execve: ENOENT, EACCES, ENOEXEC
   */
  exec(program: ProgramToRun, options: { killWithUs?: boolean } = {}): ProcessHandle {
    const { argv, env } = program;
    const path = findProgram(program.path, env.PATH, this.sys);
    const words = Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    using handle = new DisposableStack();
    const opened = handle.use(ProcessHandle.open(this.pid));
    const signal = options.killWithUs ? SIGKILL : 0;
    this.#stub.prepare([
      { name: 'prctl', args: [PR_SET_PDEATHSIG, signal, 0, 0, 0] },
      { name: 'execve', args: [path, stringVector(argv), stringVector(words)] },
    ]);
    this.#stub.run();
    this.#awaitExec(path);
    this.#isProgram = true;
    this.#stub.detach();
    handle.move();
    return opened;
  }

  #awaitExec(path: string): void {
    const sys = localSyscalls();
    for (;;) {
      const events = sys.poll(this.#readEnd, POLLIN, LOOK_MS);
      if (this.#stub.done) {
        throw new SyscallError('execve', -this.#stub.result(1), [JSON.stringify(path)], { path });
      }
      if ((events & (POLLHUP | POLLERR)) !== 0) return;
    }
  }

  /** Ends the process, unless it has become a program. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    localSyscalls().close(this.#readEnd);
    if (!this.#isProgram) this.#stub[Symbol.dispose]();
  }
}
