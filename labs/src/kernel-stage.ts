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
  POLLIN,
  ProcessHandle,
  SIGKILL,
  Stub,
  SyscallError,
  type Syscalls,
  stringVector,
} from '@strata/namespaces';
import type { LabCgroup, Performer, PerformerOptions, Stage } from './stage.ts';

/** Between two looks whether a process has become its program, in milliseconds. */
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
    return new KernelPerformer(title, Stub.spawn({ title, ...options }), this.#adopt);
  }

  readonly #adopt = (performer: KernelPerformer): void => {
    this.performers.push(performer);
    this.#held.defer(() => performer.end());
  };

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
    this.#held.dispose();
  }
}

class KernelPerformer implements Performer {
  readonly title: string;
  readonly pid: number;
  readonly sys: Syscalls;
  readonly #stub: Stub;
  readonly #adopt: (performer: KernelPerformer) => void;
  #program: ProcessHandle | undefined;
  #status: ChildStatus | undefined;

  constructor(title: string, stub: Stub, adopt: (performer: KernelPerformer) => void) {
    this.title = title;
    this.pid = stub.pid;
    this.sys = stub.sys;
    this.#stub = stub;
    this.#adopt = adopt;
    adopt(this);
  }

  clone(title: string, options: CloneOptions): Performer {
    return new KernelPerformer(title, this.#stub.clone(options), this.#adopt);
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
    if (!this.#program) {
      using process = ProcessHandle.find(this.pid);
      this.#stub[Symbol.dispose]();
      if (process) awaitEnd(process);
      return;
    }
    this.#program.trySignal(SIGKILL);
    awaitEnd(this.#program);
    this.#reap(this.#program);
    this.#program[Symbol.dispose]();
    this.#program = undefined;
  }
}

/** A killed process ends, at the latest, when what it does in the kernel is done. */
function awaitEnd(process: ProcessHandle): void {
  localSyscalls().poll(process.fd, POLLIN, END_LIMIT_MS);
}

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
