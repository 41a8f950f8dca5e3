/** The stage on which a lab really happens: this process's kernel. */
import { readlinkSync } from 'node:fs';
import {
  Cgroup,
  type CgroupResources,
  type ChildStatus,
  type CloneOptions,
  ECHILD,
  errnoOf,
  localSyscalls,
  MAILBOX_FD,
  P_PIDFD,
  POLLIN,
  ProcessHandle,
  SIGKILL,
  Stub,
  SyscallError,
  type Syscalls,
  stringVector,
  WEXITED,
  WNOHANG,
} from '@strata/namespaces';
import type { LabCgroup, Performer, PerformerOptions, Stage } from './stage.ts';

/** Between two looks at what a process has become, in milliseconds. */
const LOOK_MS = 2;
const END_LIMIT_MS = 5000;
/** What the kernel shows as the executable of a stub: a memory file (layer 01, stub/spawn.ts). */
const STUB_EXECUTABLE = '/memfd:strata-stub';

export interface KernelStageOptions {
  scratch: string;
  /** The lab's own cgroup; others are made below it. */
  cgroupPath: string;
  /** Called around each step. */
  onStep?: (title: string, when: 'before' | 'after', stage: Stage) => void;
}

export class KernelStage implements Stage, Disposable {
  readonly sys = localSyscalls();
  readonly scratch: string;
  readonly isRehearsal = false;
  readonly performers: KernelPerformer[] = [];
  readonly cgroups: KernelCgroup[] = [];
  readonly #options: KernelStageOptions;
  readonly #held = new DisposableStack();
  readonly #graves = new DisposableStack();
  readonly #orphans: ProcessHandle[] = [];
  #isEnding = false;

  constructor(options: KernelStageOptions) {
    this.#options = options;
    this.scratch = options.scratch;
  }

  step<T>(title: string, work: () => T): T {
    const { onStep } = this.#options;
    onStep?.(title, 'before', this);
    const result = work();
    const after = (): void => onStep?.(title, 'after', this);
    if (!(result instanceof Promise)) {
      after();
      return result;
    }
    return result.then((value) => {
      after();
      return value;
    }) as T;
  }

  spawn(title: string, options: PerformerOptions = {}): Performer {
    return new KernelPerformer(title, Stub.spawn({ title, ...options }), this.#family);
  }

  readonly #family: Family = {
    adopt: (performer) => {
      this.performers.push(performer);
      this.#held.defer(() => performer.end());
    },
    bury: (process) => {
      if (this.#graves.disposed) process[Symbol.dispose]();
      else this.#orphans.push(this.#graves.use(process));
    },
    awaitEnd: (process) => {
      const deadline = Date.now() + END_LIMIT_MS;
      while (!isReadable(process, LOOK_MS) && Date.now() < deadline) {
        if (this.#isEnding) this.#reapOrphans();
      }
    },
  };

  /**
   * Whom others have cloned, and who has come to us since they ended. Number 1 of a PID namespace does not
   * end before everybody in it has been reaped.
   */
  #reapOrphans(): void {
    for (const orphan of this.#orphans) {
      localSyscalls().attempt('waitid', P_PIDFD, orphan.fd, null, WEXITED + WNOHANG, null);
    }
  }

  cgroup(name: string, resources: CgroupResources = {}): LabCgroup {
    const cgroup = new KernelCgroup(name, Cgroup.create(`${this.#options.cgroupPath}/${name}`));
    this.#held.defer(() => cgroup.delete());
    cgroup.set(resources);
    this.cgroups.push(cgroup);
    return cgroup;
  }

  use<T extends Disposable>(resource: T): T {
    return this.#held.use(resource);
  }

  defer(undo: () => void): void {
    this.#held.defer(undo);
  }

  [Symbol.dispose](): void {
    this.#isEnding = true;
    this.#held.dispose();
    this.#graves.dispose();
  }
}

/** What a performer needs of its stage. */
interface Family {
  adopt(performer: KernelPerformer): void;
  /** Keeps a process that has ended, until it can be reaped. */
  bury(process: ProcessHandle): void;
  /** Returns when a process that was killed has ended. */
  awaitEnd(process: ProcessHandle): void;
}

class KernelPerformer implements Performer {
  readonly title: string;
  readonly pid: number;
  readonly sys: Syscalls;
  readonly #stub: Stub;
  readonly #family: Family;
  #program: ProcessHandle | undefined;
  #status: ChildStatus | undefined;

  constructor(title: string, stub: Stub, family: Family) {
    this.title = title;
    this.pid = stub.pid;
    this.sys = stub.sys;
    this.#stub = stub;
    this.#family = family;
    family.adopt(this);
  }

  clone(title: string, options: CloneOptions): Performer {
    return new KernelPerformer(title, this.#stub.clone(options), this.#family);
  }

  exec(path: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): void {
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    this.sys.setCloseOnExec(MAILBOX_FD, true);
    this.#stub.prepare([{ name: 'execve', args: [path, stringVector(argv), stringVector(words)] }]);
    const process = ProcessHandle.open(this.pid);
    this.#stub.run();
    while (this.#isStub()) {
      if (this.#stub.done) {
        process[Symbol.dispose]();
        throw new SyscallError('execve', -this.#stub.result(0), [JSON.stringify(path)], { path });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
    }
    this.#stub.detach();
    this.#program = process;
  }

  #isStub(): boolean {
    try {
      return readlinkSync(`/proc/${this.pid}/exe`).startsWith(STUB_EXECUTABLE);
    } catch (error) {
      // A program that was quick is a zombie by now, and those have no executable.
      if (errnoOf(error) !== undefined) return false;
      throw error;
    }
  }

  async wait(): Promise<ChildStatus | undefined> {
    if (this.#status) return this.#status;
    if (this.#program) {
      await this.#program.exited();
      return this.#reap(this.#program);
    }
    using process = ProcessHandle.find(this.pid);
    await process?.exited();
    return undefined;
  }

  /** Takes it out of the process table, where it is our own child. */
  #reap(process: ProcessHandle): ChildStatus | undefined {
    try {
      this.#status ??= process.poll();
    } catch (error) {
      if (errnoOf(error) !== ECHILD) throw error;
    }
    return this.#status;
  }

  end(): void {
    const process = this.#program ?? ProcessHandle.find(this.pid);
    if (this.#program) this.#program.trySignal(SIGKILL);
    else this.#stub[Symbol.dispose]();
    if (!process) return;
    this.#family.awaitEnd(process);
    if (this.#program) this.#reap(process);
    this.#program = undefined;
    this.#family.bury(process);
  }
}

const isReadable = (process: ProcessHandle, patienceMs: number): boolean =>
  localSyscalls().poll(process.fd, POLLIN, patienceMs) !== 0;

class KernelCgroup implements LabCgroup {
  readonly name: string;
  readonly #cgroup: Cgroup;

  constructor(name: string, cgroup: Cgroup) {
    this.name = name;
    this.#cgroup = cgroup;
  }

  get paths() {
    return this.#cgroup.paths;
  }
  set(resources: CgroupResources): void {
    this.#cgroup.set(resources);
  }
  attach(pid: number): void {
    this.#cgroup.attach(pid);
  }
  freeze(): void {
    this.#cgroup.freeze();
  }
  thaw(): void {
    this.#cgroup.thaw();
  }
  kill(): void {
    this.#cgroup.kill();
  }
  delete(): void {
    this.#cgroup.kill();
    this.#cgroup.delete();
  }
}
