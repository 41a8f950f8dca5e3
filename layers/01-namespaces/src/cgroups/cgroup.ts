/**
 * A control group: one directory in the v2 hierarchy, or one in each v1 hierarchy.
 *
 *   using cgroup = Cgroup.create('/strata/web');
 *   cgroup.set({ memory: { limit: 64 << 20 }, pids: { limit: 100 } });
 *   cgroup.attach(pid);
 *   ...
 *   cgroup.kill();
 *   cgroup.delete();
 *
 * Calls are synchronous: they are writes to kernel files of some microseconds each.
 *
 * @see cgroups(7), Documentation/admin-guide/cgroup-v2.rst
 */
import { existsSync } from 'node:fs';
import { EACCES, EPERM, EROFS } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from '../syscalls/constants.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { applyLimits } from './apply-limits.ts';
import { directoriesOfProcess, pathInHierarchy, validateCgroupPath } from './cgroup-path.ts';
import { planLimits } from './controllers.ts';
import { delegateCgroup } from './delegate.ts';
import { makeCgroupDirectory } from './directories.ts';
import { CgroupEvents, type CgroupWatchOptions } from './events/events.ts';
import type { OomWatch } from './events/oom-watch.ts';
import { type Freezer, freeze, isFreezing, thaw, tryFreeze } from './freezer.ts';
import { killAll } from './kill.ts';
import {
  type CgroupLayout,
  type ControllerHome,
  detectCgroups,
  type Hierarchy,
  homeOf,
  UNIFIED_KEY,
  unifiedOf,
} from './layout.ts';
import { LimitSnapshot } from './limit-snapshot.ts';
import { attachProcess, moveProcess, refuseIfUsed } from './members.ts';
import { readOomKills } from './oom-kills.ts';
import { Patience } from './patience.ts';
import type { CgroupResources } from './resources.ts';
import { type CgroupStats, readStats } from './stats/stats.ts';
import { processesBelow, removeCgroupTree } from './tree.ts';

/** Key of the hierarchy ('' for v2) → absolute directory. */
export type CgroupPaths = Readonly<Record<string, string>>;

/** How mkdir(2) refuses who has no right to make a cgroup. */
const NOT_PERMITTED: ReadonlySet<number> = new Set([EACCES, EPERM, EROFS]);
const FREEZE_LIMIT_MS = 5000;
const DELETE_LIMIT_MS = 2000;
/** How often processes that fork meanwhile are looked for when all are moved. */
const MOVE_ROUNDS = 10;

export class Cgroup implements Disposable {
  readonly #paths: Record<string, string>;
  /** Those of the directories that are ours to remove. */
  readonly #made: Set<string>;
  readonly #layout: CgroupLayout;

  private constructor(paths: CgroupPaths, made: Iterable<string>, layout: CgroupLayout) {
    this.#paths = { ...paths };
    this.#made = new Set(made);
    this.#layout = layout;
  }

  /** The directories by hierarchy. More of them after a `set` that needs the v2 one of a hybrid machine. */
  get paths(): CgroupPaths {
    return this.#paths;
  }

  /** The hierarchies whose directories were made here, which are those that `delete` removes. */
  get made(): readonly string[] {
    return [...this.#made];
  }

  /**
   * Makes the directories, and their parents where they are missing. One that is there already, and
   * empty, is used and never removed: it belongs to somebody else.
   *
   * All v1 hierarchies are joined, `name=systemd` included, as runc does: a container must not stay
   * in the service that started it, or stopping the service would kill it. It is the cheapest of
   * them (26 µs to make and remove, memory 84 µs).
   *
   * @param path from the root of each hierarchy, such as /strata/web; without the leading slash from
   *   this process's own cgroup
   * @throws {StrataError} CGROUP_IN_USE where processes are in it already, INVALID_CGROUP_PATH,
   *   CGROUP_CREATE with EROFS, EACCES or another errno of mkdir(2)
   */
  static create(path: string, layout: CgroupLayout = detectCgroups()): Cgroup {
    return Cgroup.#create(path, layout, () => false);
  }

  /**
   * As `create`, for a user who may not make cgroups everywhere: hierarchies that refuse it are left
   * out, so that in the end there may be no directory at all. Limits that need one are refused by `set`.
   */
  static createWherePermitted(path: string, layout: CgroupLayout = detectCgroups()): Cgroup {
    return Cgroup.#create(path, layout, (error) => NOT_PERMITTED.has(errnoOf(error) ?? 0));
  }

  static #create(
    path: string,
    layout: CgroupLayout,
    isLeftOut: (error: unknown) => boolean,
  ): Cgroup {
    validateCgroupPath(path);
    const cgroup = new Cgroup({}, [], layout);
    try {
      for (const hierarchy of layout.hierarchies) {
        const below = pathInHierarchy(path, hierarchy);
        try {
          if (!cgroup.#join(hierarchy, below)) refuseIfUsed(hierarchy.mountPoint + below);
        } catch (error) {
          if (!isLeftOut(error)) throw error;
        }
      }
    } catch (error) {
      // Only what was made here: what was there before belongs to somebody else.
      cgroup.delete();
      throw error;
    }
    return cgroup;
  }

  /** Whether it was made, and not there before. */
  #join(hierarchy: Hierarchy, below: string): boolean {
    const isNew = makeCgroupDirectory(hierarchy, below);
    this.#paths[hierarchy.key] = hierarchy.mountPoint + below;
    if (isNew) this.#made.add(hierarchy.key);
    return isNew;
  }

  /**
   * One that was made before, by the paths it had.
   * @param options.made the hierarchies in which it was made, as `made` has said; default: all
   */
  static open(
    paths: CgroupPaths,
    options: { made?: readonly string[] | undefined; layout?: CgroupLayout } = {},
  ): Cgroup {
    const { made = Object.keys(paths), layout = detectCgroups() } = options;
    return new Cgroup(paths, made, layout);
  }

  /** That of a process, made by others. @throws {StrataError} NO_CGROUP for one that is not mounted */
  static ofProcess(pid: number, layout: CgroupLayout = detectCgroups()): Cgroup {
    return new Cgroup(directoriesOfProcess(pid, layout), [], layout);
  }

  /**
   * What is there of a path; undefined where nothing is. Its `delete` removes all of it, whoever has
   * made it.
   * @throws {StrataError} INVALID_CGROUP_PATH
   */
  static openIfThere(path: string, layout: CgroupLayout = detectCgroups()): Cgroup | undefined {
    const found = directoriesOf(path, layout).filter(([, directory]) => existsSync(directory));
    const paths = Object.fromEntries(found);
    return found.length > 0 ? new Cgroup(paths, Object.keys(paths), layout) : undefined;
  }

  /**
   * The directories that `create` would make: those that are not there. Written down before, they are
   * what may be removed after a creation of which only the path is known.
   * @throws {StrataError} INVALID_CGROUP_PATH
   */
  static missing(path: string, layout: CgroupLayout = detectCgroups()): CgroupPaths {
    const all = directoriesOf(path, layout);
    return Object.fromEntries(all.filter(([, directory]) => !existsSync(directory)));
  }

  /**
   * Applies limits; what is not given stays as it is. On a hybrid machine one whose controller is in
   * the v2 hierarchy makes the cgroup there too, and moves its processes into it.
   * @throws {StrataError} CGROUP_LIMIT naming the field: a missing controller, a refused value
   */
  set(resources: CgroupResources): void {
    const plan = planLimits(this.#layout, resources);
    const unified = unifiedOf(this.#layout);
    if (unified && this.#paths[unified.key] === undefined) {
      const isNeeded = plan.hasDeviceProgram || plan.writes.some(({ key }) => key === unified.key);
      if (isNeeded) this.#joinUnified(unified);
    }
    applyLimits(plan, resources, this.#paths);
  }

  /**
   * As `set`, for a cgroup in use: where one limit is refused, all are what they were before.
   * @throws {StrataError} CGROUP_LIMIT naming the field
   */
  change(resources: CgroupResources): void {
    const plan = planLimits(this.#layout, resources);
    const before = LimitSnapshot.take(plan, this.#paths);
    try {
      this.set(resources);
    } catch (error) {
      const lost = before.restore();
      if (lost.length === 0 || !(error instanceof StrataError)) throw error;
      const { code, message, field, path, errno } = error;
      const hint = `the old value could not be written back to ${lost.join(', ')}`;
      throw new StrataError(code, message, { field, path, errno, hint, cause: error });
    }
  }

  #joinUnified(unified: Hierarchy): void {
    const other = this.#layout.hierarchies.find(({ key }) => this.#paths[key] !== undefined);
    if (!other) return;
    this.#join(unified, this.#paths[other.key]!.slice(other.mountPoint.length));
    const moved = new Set<number>();
    for (let round = 0; round < MOVE_ROUNDS; round++) {
      const pids = this.processes().filter((pid) => !moved.has(pid));
      if (pids.length === 0) return;
      for (const pid of pids) {
        moveProcess(this.#paths[unified.key]!, pid, { mayBeGone: true });
        moved.add(pid);
      }
    }
  }

  /**
   * Moves a process (with all its threads) into the cgroup.
   *
   * The kernel waits for an RCU grace period here, milliseconds; a process that is about to be made
   * is better born in its cgroup (`openForClone`) or moves its one thread itself (see layer 02).
   *
   * @param options.beside a process of the cgroup. Where the cgroup, delegated, has spread its
   *   processes over cgroups below it, and so takes none itself, this one's is taken.
   * @throws {StrataError} CGROUP_WRITE: ESRCH for a process that has ended, ENOENT for a cgroup that
   *   was removed, EBUSY for one of v2 that has controllers for those below it
   */
  attach(pid: number, options: { beside?: number | undefined } = {}): void {
    attachProcess(this.#paths, this.#layout, { pid, beside: options.beside });
  }

  /**
   * Gives the cgroup to a user, who may make cgroups below it: see delegate.ts.
   * @param sys executes the changes: a process that may chown(2) the files
   * @throws {SyscallError} EPERM where it may not, or the user is not mapped in its user namespace
   */
  delegate(uid: number, sys: Syscalls = localSyscalls()): void {
    delegateCgroup(this.#paths, uid, sys);
  }

  /**
   * Opens the v2 directory for a clone3(2) with CLONE_INTO_CGROUP: a child that is born in its cgroup
   * never was in another, and no lock is waited for.
   *
   * @param sys of the process that will clone
   * @returns a descriptor of that process, to be closed by the caller; undefined without v2
   * @throws {SyscallError} ENOENT where the cgroup was removed
   */
  openForClone(sys: Syscalls = localSyscalls()): number | undefined {
    const directory = this.#paths[UNIFIED_KEY];
    if (directory === undefined) return undefined;
    return sys.openat2(directory, { flags: O_DIRECTORY | O_PATH | O_CLOEXEC });
  }

  /** All processes in it and in cgroups below it; none once it is removed. */
  processes(): number[] {
    const directory = this.#processDirectory();
    return directory === undefined ? [] : processesBelow(directory);
  }

  /** Where its processes are listed: where they would be frozen. */
  #processDirectory(): string | undefined {
    return this.#freezer()?.directory ?? Object.values(this.#paths)[0];
  }

  /**
   * Stops all its processes until `thaw`.
   * @throws {StrataError} NO_FREEZER, FREEZE_TIMEOUT after 5 s
   */
  freeze(): void {
    freeze(this.#requiredFreezer(), FREEZE_LIMIT_MS);
  }

  /**
   * As `freeze`, without waiting: whether all of them have stopped. To be called again where not, or
   * to be given up by `thaw`.
   * @throws {StrataError} NO_FREEZER
   */
  tryFreeze(): boolean {
    return tryFreeze(this.#requiredFreezer(), 0);
  }

  /** @throws {StrataError} NO_FREEZER */
  thaw(): void {
    thaw(this.#requiredFreezer());
  }

  /** Whether its processes can be frozen here. */
  get hasFreezer(): boolean {
    return this.#freezer() !== undefined;
  }

  /** @throws {StrataError} NO_FREEZER */
  get isFrozen(): boolean {
    return isFreezing(this.#requiredFreezer());
  }

  #freezer(): Freezer | undefined {
    const version = this.#version;
    const directory = version === 2 ? this.#paths[UNIFIED_KEY] : this.#directoryOf('freezer');
    return directory === undefined ? undefined : { version, directory };
  }

  #requiredFreezer(): Freezer {
    const freezer = this.#freezer();
    if (freezer) return freezer;
    throw new StrataError('NO_FREEZER', 'the cgroup has no freezer controller');
  }

  /**
   * Kills every process in it and below, also those being forked meanwhile, also when it is frozen.
   * Returns when SIGKILL is on its way to all of them; `delete` waits until they are gone.
   * @throws {StrataError} CGROUP_BUSY where, without a freezer, some survive for 5 s
   */
  kill(): void {
    const directory = this.#processDirectory();
    if (directory !== undefined) killAll(directory, this.#freezer());
  }

  /** What its processes have used. */
  stats(): CgroupStats {
    return readStats((controller) => this.#homeOf(controller), this.#paths[UNIFIED_KEY]);
  }

  /** How many processes the OOM killer has taken from it; to be asked before `delete`. */
  oomKills(): number {
    const memory = this.#homeOf('memory');
    return memory === undefined ? 0 : readOomKills(memory);
  }

  /**
   * Reports what happens in the cgroup, from Node's event loop and without asking again and again,
   * until the watch is disposed of: out of memory, memory pressure, all processes gone.
   *
   *   using events = cgroup.watch();
   *   for await (const event of events) ...
   *
   * @throws {StrataError} CGROUP_WATCH where the kernel refuses
   */
  watch(options: CgroupWatchOptions = {}): CgroupEvents {
    const unified = this.#paths[UNIFIED_KEY];
    return new CgroupEvents({ memory: this.#homeOf('memory'), unified }, options);
  }

  /** Has `watch` tell of its out-of-memory kills, by `key`; without a memory controller nothing. */
  watchOom(watch: OomWatch, key: string): void {
    const memory = this.#homeOf('memory');
    if (memory) watch.add(key, memory);
  }

  get #version(): 1 | 2 {
    return this.#layout.mode === 'v2' ? 2 : 1;
  }

  #directoryOf(controller: string): string | undefined {
    return this.#homeOf(controller)?.directory;
  }

  #homeOf(controller: string): ControllerHome | undefined {
    const hierarchy = homeOf(this.#layout, controller);
    const directory = hierarchy && this.#paths[hierarchy.key];
    return directory === undefined ? undefined : { version: hierarchy!.version, directory };
  }

  /**
   * Removes those of its directories that were made by it, and all cgroups below them. Processes that
   * are just ending are waited for.
   * @throws {StrataError} CGROUP_BUSY, naming who is in it, where a process stays for 2 s
   */
  delete(): void {
    const patience = new Patience(DELETE_LIMIT_MS);
    for (const key of this.#made) {
      const directory = this.#paths[key];
      if (directory !== undefined) removeCgroupTree(directory, patience);
    }
  }

  [Symbol.dispose](): void {
    this.delete();
  }
}

function directoriesOf(path: string, layout: CgroupLayout): [key: string, directory: string][] {
  validateCgroupPath(path);
  const { hierarchies, unified } = layout;
  return [...hierarchies, ...(unified ? [unified] : [])].map((each) => [
    each.key,
    each.mountPoint + pathInHierarchy(path, each),
  ]);
}
