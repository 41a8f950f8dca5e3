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
import { StrataError } from '../errors/strata-error.ts';
import { applyLimits } from './apply-limits.ts';
import { readCgroupFile, writeCgroupFile } from './cgroup-file.ts';
import { pathInHierarchy, validateCgroupPath } from './cgroup-path.ts';
import { makeCgroupDirectory, processesBelow, removeCgroupTree } from './directories.ts';
import { type Freezer, freeze, isFreezing, thaw } from './freezer.ts';
import { killAll } from './kill.ts';
import { type CgroupLayout, detectCgroups, type Hierarchy } from './layout.ts';
import { Patience } from './patience.ts';
import type { CgroupResources } from './resources.ts';
import { type CgroupStats, readStats } from './stats.ts';

/** Key of the hierarchy → absolute directory. */
export type CgroupPaths = Readonly<Record<string, string>>;

const FREEZE_LIMIT_MS = 5000;
const DELETE_LIMIT_MS = 2000;

export class Cgroup implements Disposable {
  readonly paths: CgroupPaths;
  readonly #layout: CgroupLayout;

  private constructor(paths: CgroupPaths, layout: CgroupLayout) {
    this.paths = paths;
    this.#layout = layout;
  }

  /**
   * Makes the directories, and their parents where they are missing.
   *
   * All v1 hierarchies are joined, `name=systemd` included, as runc does: a container must not stay
   * in the service that started it, or stopping the service would kill it. It is the cheapest of
   * them (26 µs to make and remove, memory 84 µs).
   *
   * @param path from the root of each hierarchy, such as /strata/web; without the leading slash from
   *   this process's own cgroup
   * @throws {StrataError} CGROUP_IN_USE where processes are in it already, INVALID_CGROUP_PATH
   */
  static create(path: string, layout: CgroupLayout = detectCgroups()): Cgroup {
    validateCgroupPath(path);
    const made: Record<string, string> = {};
    const paths: Record<string, string> = {};
    try {
      for (const hierarchy of layout.hierarchies) {
        const below = pathInHierarchy(path, hierarchy);
        const directory = hierarchy.mountPoint + below;
        if (makeCgroupDirectory(hierarchy, below)) made[hierarchy.key] = directory;
        else refuseIfUsed(directory);
        paths[hierarchy.key] = directory;
      }
    } catch (error) {
      // Only what was made here: what was there before belongs to somebody else.
      new Cgroup(made, layout).delete();
      throw error;
    }
    return new Cgroup(paths, layout);
  }

  /** One that was made before, by the paths it had. */
  static open(paths: CgroupPaths, layout: CgroupLayout = detectCgroups()): Cgroup {
    return new Cgroup(paths, layout);
  }

  /** What is there of a path; undefined where nothing is. @throws {StrataError} INVALID_CGROUP_PATH */
  static openIfThere(path: string, layout: CgroupLayout = detectCgroups()): Cgroup | undefined {
    validateCgroupPath(path);
    const found = layout.hierarchies
      .map((each) => [each.key, each.mountPoint + pathInHierarchy(path, each)] as const)
      .filter(([, directory]) => existsSync(directory));
    return found.length > 0 ? new Cgroup(Object.fromEntries(found), layout) : undefined;
  }

  /**
   * Applies limits; what is not given stays as it is.
   * @throws {StrataError} CGROUP_LIMIT naming the field: a missing controller, a refused value
   */
  set(resources: CgroupResources): void {
    applyLimits(resources, this.#layout, this.paths);
  }

  /**
   * Moves a process (with all its threads) into the cgroup.
   *
   * The kernel waits for an RCU grace period here, milliseconds; a process that is about to be made
   * is better born in its cgroup (clone3) or moves its one thread itself (see layer 02).
   *
   * @throws {StrataError} CGROUP_WRITE
   */
  attach(pid: number): void {
    for (const directory of Object.values(this.paths)) {
      writeCgroupFile(`${directory}/cgroup.procs`, String(pid), 'attach to cgroup');
    }
  }

  /** All processes in it and in cgroups below it; none once it is removed. */
  processes(): number[] {
    const directory = this.#processDirectory();
    return directory === undefined ? [] : processesBelow(directory);
  }

  /** Where its processes are listed: where they would be frozen. */
  #processDirectory(): string | undefined {
    return this.#freezer()?.directory ?? Object.values(this.paths)[0];
  }

  /**
   * Stops all its processes until `thaw`.
   * @throws {StrataError} NO_FREEZER, FREEZE_TIMEOUT after 5 s
   */
  freeze(): void {
    freeze(this.#requiredFreezer(), FREEZE_LIMIT_MS);
  }

  /** @throws {StrataError} NO_FREEZER */
  thaw(): void {
    thaw(this.#requiredFreezer());
  }

  get isFrozen(): boolean {
    return isFreezing(this.#requiredFreezer());
  }

  #freezer(): Freezer | undefined {
    const version = this.#version;
    const directory = version === 2 ? this.paths[''] : this.#directoryOf('freezer');
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
    return readStats(this.#version, (controller) => this.#directoryOf(controller));
  }

  /** How many processes the OOM killer has taken from it; to be asked before `delete`. */
  oomKills(): number {
    const memory = this.#directoryOf('memory');
    if (memory === undefined) return 0;
    const file = this.#version === 2 ? 'memory.events' : 'memory.oom_control';
    const text = readCgroupFile(`${memory}/${file}`);
    return Number(/^oom_kill (\d+)$/m.exec(text ?? '')?.[1] ?? 0);
  }

  get #version(): 1 | 2 {
    return this.#layout.mode === 'v2' ? 2 : 1;
  }

  #directoryOf(controller: string): string | undefined {
    const has = ({ controllers }: Hierarchy): boolean => controllers.includes(controller);
    const hierarchy = this.#layout.hierarchies.find(has);
    return hierarchy && this.paths[hierarchy.key];
  }

  /**
   * Removes it and all cgroups below it. Processes that are just ending are waited for.
   * @throws {StrataError} CGROUP_BUSY where a process stays in it for 2 s
   */
  delete(): void {
    const patience = new Patience(DELETE_LIMIT_MS);
    for (const directory of Object.values(this.paths)) removeCgroupTree(directory, patience);
  }

  [Symbol.dispose](): void {
    this.delete();
  }
}

function refuseIfUsed(path: string): void {
  const pids = processesBelow(path);
  if (pids.length === 0) return;
  const message = `the cgroup ${path} has processes: ${pids.slice(0, 5).join(', ')}`;
  const hint = 'another container has this cgroupsPath';
  throw new StrataError('CGROUP_IN_USE', message, { path, field: 'linux.cgroupsPath', hint });
}
