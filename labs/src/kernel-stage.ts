/** The stage on which a lab really happens: this process's kernel. */
import { Cgroup, type CgroupResources, localSyscalls, Stub } from '@strata/namespaces';
import { endAll, KernelPerformer } from './kernel-performer.ts';
import type { LabCgroup, Performer, PerformerOptions, Stage } from './stage.ts';

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
    const stub = Stub.spawn({ title, ...options });
    return new KernelPerformer(stub, { title, isOurs: true, all: this.performers });
  }

  cgroup(name: string, resources: CgroupResources = {}): LabCgroup {
    const cgroup = new KernelCgroup(name, Cgroup.create(`${this.#options.cgroupPath}/${name}`));
    this.cgroups.push(cgroup);
    cgroup.set(resources);
    return cgroup;
  }

  use<T extends Disposable>(resource: T): T {
    return this.#held.use(resource);
  }

  defer(undo: () => void): void {
    this.#held.defer(undo);
  }

  /** What was held may need the processes, and the cgroups cannot go before them. */
  [Symbol.dispose](): void {
    using undo = new DisposableStack();
    for (const cgroup of this.cgroups) undo.defer(() => cgroup.delete());
    undo.defer(() => endAll(this.performers));
    // Who is frozen does not end.
    for (const cgroup of this.cgroups) undo.defer(() => cgroup.kill());
    undo.use(this.#held);
  }
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
