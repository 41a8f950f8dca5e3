/**
 * What a lab's file is given: one interface over two stages.
 *
 *   learner's file ──▶ Stage ──┬── KernelStage      does it, in the lab's host
 *   solution.ts                └── RehearsalStage   does nothing, writes down the system calls (--explain)
 *
 * A lab gets processes and cgroups only from its stage, so that they can be shown, rehearsed and
 * cleared away; all else it does with `sys`, its own or a performer's.
 */
import type {
  CgroupPaths,
  CgroupResources,
  ChildStatus,
  CloneOptions,
  Syscalls,
} from '@strata/namespaces';

export interface Stage {
  /** System calls of this very process. */
  readonly sys: Syscalls;
  /** A directory on a tmpfs of this run's own: nothing in it has to be removed. */
  readonly scratch: string;
  /** Whether nothing is really done. */
  readonly isRehearsal: boolean;
  /** Those that were made, in their order. */
  readonly performers: readonly Performer[];
  readonly cgroups: readonly LabCgroup[];

  /** Does `work` as a step that --step stops at and --explain puts a heading over. */
  step<T>(title: string, work: () => T): T;
  /** A process that does nothing but execute our system calls: a stub. Ends with the lab. */
  spawn(title: string, options?: PerformerOptions): Performer;
  /** A control group below the lab's own. Removed with the lab. */
  cgroup(name: string, resources?: CgroupResources): LabCgroup;
  /** Holds a resource until the check is over; all are released in reverse order. */
  use<T extends Disposable>(resource: T): T;
  defer(undo: () => void): void;
}

export interface PerformerOptions {
  /** Its standard input, output and error, as our descriptors; default: ours. */
  stdio?: readonly [number, number, number];
  /** Further descriptors: its number, from 4 on → ours. */
  descriptors?: ReadonlyMap<number, number>;
}

/** A process of the lab. */
export interface Performer {
  readonly title: string;
  /** As the lab's host numbers it. */
  readonly pid: number;
  /** Executes in that process. */
  readonly sys: Syscalls;
  /** Clones itself; the child is a performer too, which may clone itself. One child at a time. */
  clone(title: string, options: CloneOptions): Performer;
  /**
   * Becomes a program, and takes no more calls.
   * @throws {SyscallError} of execve
   */
  exec(path: string, argv: readonly string[], env?: Readonly<Record<string, string>>): void;
  /** Resolves when it has ended. Only our own child tells how. */
  wait(): Promise<ChildStatus | undefined>;
  /** Ends it now, and returns when it has ended. Who has cloned it may still have to reap it. */
  end(): void;
}

export interface LabCgroup {
  readonly name: string;
  /** Its directories: key of the hierarchy ('' for v2) → absolute path. */
  readonly paths: CgroupPaths;
  set(resources: CgroupResources): void;
  attach(pid: number): void;
  freeze(): void;
  thaw(): void;
  /** Kills all that is in it. */
  kill(): void;
}

/** The shape of start.ts and solution.ts: does the lab, and says what there is to be checked. */
export type LabFile<Scene> = (stage: Stage) => Scene | Promise<Scene>;
