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
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeSync,
} from 'node:fs';
import { EBUSY, EEXIST, ENODEV, ENOENT, ESRCH, errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { SIGKILL } from '../syscalls/signals.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { controllerWrites } from './controllers.ts';
import { type CgroupLayout, detectCgroups, type Hierarchy } from './layout.ts';
import type { CgroupResources, CgroupWrite } from './resources.ts';
import { attachDeviceFilter } from './v2/device-filter.ts';

/** Key of the hierarchy → absolute directory. */
export type CgroupPaths = Readonly<Record<string, string>>;

const EMPTY_POLL_MS = 1;
const EMPTY_PATIENCE_MS = 5000;
const KILL_ROUNDS = 100;

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
   * in the service that started it, or stopping the service would kill it.
   *
   * @param path from the root of each hierarchy, such as /strata/web
   * @throws {StrataError} CGROUP_IN_USE where processes are in it already, INVALID_CGROUP_PATH
   */
  static create(path: string, layout: CgroupLayout = detectCgroups()): Cgroup {
    validatePath(path);
    const made: Record<string, string> = {};
    const cgroup = new Cgroup(made, layout);
    try {
      for (const hierarchy of layout.hierarchies) {
        const directory = hierarchy.mountPoint + path;
        if (!makeDirectory(hierarchy, path)) refuseIfUsed(directory);
        made[hierarchy.key] = directory;
      }
    } catch (error) {
      cgroup.delete();
      throw error;
    }
    return cgroup;
  }

  /** One that was made before, by the paths it had. */
  static open(paths: CgroupPaths, layout: CgroupLayout = detectCgroups()): Cgroup {
    return new Cgroup(paths, layout);
  }

  /** What is there of a path; undefined where nothing is. */
  static openIfThere(path: string, layout: CgroupLayout = detectCgroups()): Cgroup | undefined {
    validatePath(path);
    const found = layout.hierarchies
      .map(({ key, mountPoint }) => [key, mountPoint + path] as const)
      .filter(([, directory]) => existsSync(directory));
    return found.length > 0 ? new Cgroup(Object.fromEntries(found), layout) : undefined;
  }

  /**
   * Applies limits; what is not given stays as it is.
   * @throws {StrataError} CGROUP_LIMIT naming the field: a missing controller, a refused value
   */
  set(resources: CgroupResources): void {
    const writes = controllerWrites(this.#layout, resources);
    const files = new Map<string, number>();
    try {
      for (const write of inOrder(writes, this.paths)) this.#write(write, files);
    } finally {
      for (const fd of files.values()) closeSync(fd);
    }
    if (this.#layout.mode === 'v2' && resources.devices?.length) {
      attachDeviceFilter(this.paths['']!, resources.devices);
    }
  }

  #write({ key, file, value, field }: PlacedWrite, files: Map<string, number>): void {
    const path = `${this.paths[key]}/${file}`;
    try {
      let fd = files.get(path);
      if (fd === undefined) {
        fd = openSync(path, 'w');
        files.set(path, fd);
      }
      writeSync(fd, value);
    } catch (cause) {
      const errno = errnoOf(cause);
      const message = `${field}: cannot write ${value} to ${path}: ${errnoName(errno ?? 0)}`;
      const hint = errno === ENOENT ? 'this kernel does not have this limit' : undefined;
      throw new StrataError('CGROUP_LIMIT', message, { field, path, errno, cause, hint });
    }
  }

  /**
   * Moves a process (with all its threads) into the cgroup.
   *
   * The kernel waits for an RCU grace period here, milliseconds; a process that is about to be made
   * is better born in its cgroup (clone3) or moves its one thread itself (see layer 02).
   */
  attach(pid: number): void {
    for (const directory of Object.values(this.paths)) {
      writeFile(`${directory}/cgroup.procs`, String(pid), 'attach to cgroup');
    }
  }

  /** All processes in it and in cgroups below it. */
  processes(): number[] {
    const directory = Object.values(this.paths)[0];
    return directory === undefined ? [] : processesBelow(directory);
  }

  /** Stops all its processes until `thaw`. @throws {StrataError} where there is no freezer */
  freeze(): void {
    this.#freezer('FROZEN', '1');
  }

  thaw(): void {
    this.#freezer('THAWED', '0');
  }

  get isFrozen(): boolean {
    const { file, v1 } = this.#freezerFile();
    const text = readFileSync(file, 'utf8').trim();
    return v1 ? text !== 'THAWED' : text === '1';
  }

  #freezerFile(): { file: string; v1: boolean } {
    if (this.#layout.mode === 'v2') return { file: `${this.paths['']}/cgroup.freeze`, v1: false };
    const hierarchy = this.#layout.hierarchies.find(({ controllers }) =>
      controllers.includes('freezer'),
    );
    const directory = hierarchy && this.paths[hierarchy.key];
    if (directory) return { file: `${directory}/freezer.state`, v1: true };
    throw new StrataError('NO_FREEZER', 'the freezer controller is not mounted');
  }

  #freezer(v1State: string, v2State: string): void {
    const { file, v1 } = this.#freezerFile();
    writeFile(file, v1 ? v1State : v2State, 'freeze cgroup');
    if (!v1 || v1State === 'THAWED') return;
    // A process that is just forking can leave it FREEZING; writing again completes it.
    const deadline = Date.now() + EMPTY_PATIENCE_MS;
    while (readFileSync(file, 'utf8').trim() !== v1State) {
      if (Date.now() > deadline) {
        throw new StrataError('FREEZE_TIMEOUT', `${file} does not become ${v1State}`, {
          path: file,
          hint: 'a process in it is in uninterruptible sleep (state D)',
        });
      }
      sleep(EMPTY_POLL_MS);
      writeFile(file, v1State, 'freeze cgroup');
    }
  }

  /** Kills every process in it, also those being forked meanwhile. */
  kill(): void {
    if (this.#layout.mode === 'v2') {
      if (tryWriteFile(`${this.paths['']}/cgroup.kill`, '1')) return;
    }
    for (let round = 0; round < KILL_ROUNDS; round++) {
      const pids = this.processes();
      if (pids.length === 0) return;
      // The pids are of our cgroup; one that is reused meanwhile is at worst in it again.
      for (const pid of pids) localSyscalls().attempt('kill', pid, SIGKILL);
      // SIGKILL reaches a frozen process only when it is thawed.
      this.#thawIfFrozen();
      sleep(EMPTY_POLL_MS);
    }
  }

  #thawIfFrozen(): void {
    try {
      if (this.isFrozen) this.thaw();
    } catch (error) {
      if (!(error instanceof StrataError) && errnoOf(error) !== ENOENT) throw error;
    }
  }

  /** How many times the OOM killer has struck in it. */
  oomKills(): number {
    const memory = this.#directoryOf('memory');
    if (memory === undefined) return 0;
    const file = this.#layout.mode === 'v2' ? 'memory.events' : 'memory.oom_control';
    const text = readIfThere(`${memory}/${file}`);
    return Number(/^oom_kill (\d+)$/m.exec(text ?? '')?.[1] ?? 0);
  }

  #directoryOf(controller: string): string | undefined {
    const hierarchy = this.#layout.hierarchies.find(({ controllers }) =>
      controllers.includes(controller),
    );
    return hierarchy && this.paths[hierarchy.key];
  }

  /**
   * Removes it and all cgroups below it. Processes that are just ending are waited for.
   * @throws {StrataError} CGROUP_BUSY where a process stays in it
   */
  delete(): void {
    for (const directory of Object.values(this.paths)) removeTree(directory);
  }

  [Symbol.dispose](): void {
    this.delete();
  }
}

interface PlacedWrite extends CgroupWrite {
  key: string;
}

/** On v1, memory+swap has to be raised before memory where the old sum is below the new limit. */
function inOrder(writes: PlacedWrite[], paths: CgroupPaths): PlacedWrite[] {
  const sum = writes.find(({ file }) => file === 'memory.memsw.limit_in_bytes');
  const limit = writes.find(({ file }) => file === 'memory.limit_in_bytes');
  if (!sum || !limit) return writes;
  const old = Number(readIfThere(`${paths[sum.key]}/${sum.file}`) ?? Number.POSITIVE_INFINITY);
  if (Number(limit.value) <= old) return writes;
  return [sum, ...writes.filter((write) => write !== sum)];
}

/** A cgroup path from outside: absolute, and without a way out of the hierarchy. */
function validatePath(path: string): void {
  const isPlain =
    path.startsWith('/') &&
    path !== '/' &&
    !/[\0\n]/.test(path) &&
    !path.split('/').some((name) => name === '..' || name === '.');
  if (isPlain) return;
  throw new StrataError('INVALID_CGROUP_PATH', `invalid cgroup path ${JSON.stringify(path)}`, {
    field: 'linux.cgroupsPath',
    hint: 'give an absolute path below the hierarchy, such as /strata/web',
  });
}

/** @returns whether it was made: false where it was there */
function makeDirectory(hierarchy: Hierarchy, path: string): boolean {
  const directory = hierarchy.mountPoint + path;
  try {
    mkdirSync(directory, 0o755);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === EEXIST) return false;
    if (errno !== ENOENT) throw cannotMake(directory, error);
    makeDirectory(hierarchy, path.slice(0, path.lastIndexOf('/')));
    return makeDirectory(hierarchy, path);
  }
  const parent = directory.slice(0, directory.lastIndexOf('/'));
  if (hierarchy.controllers.includes('cpuset') && hierarchy.version === 1)
    inheritCpuset(parent, directory);
  if (hierarchy.version === 2) enableControllers(parent, hierarchy.controllers);
  return true;
}

function cannotMake(path: string, cause: unknown): StrataError {
  const errno = errnoOf(cause);
  return new StrataError(
    'CGROUP_CREATE',
    `cannot make the cgroup ${path}: ${errnoName(errno ?? 0)}`,
    {
      path,
      errno,
      cause,
      hint: 'the cgroup file system must be writable: is it mounted read-only, or not delegated to us?',
    },
  );
}

/** A new v1 cpuset is empty and takes no process until it has processors and memory nodes. */
function inheritCpuset(parent: string, directory: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (readFileSync(`${directory}/${file}`, 'utf8').trim() !== '') continue;
    writeFile(`${directory}/${file}`, readFileSync(`${parent}/${file}`, 'utf8'), 'inherit cpuset');
  }
}

/** On v2 a controller works in a cgroup when its parent's subtree_control has it. */
function enableControllers(parent: string, controllers: readonly string[]): void {
  const file = `${parent}/cgroup.subtree_control`;
  const enabled = new Set((readIfThere(file) ?? '').trim().split(' '));
  const missing = controllers.filter((controller) => !enabled.has(controller));
  if (missing.length === 0) return;
  // One at a time: a controller that cannot be enabled here must not keep the others off.
  for (const controller of missing) tryWriteFile(file, `+${controller}`);
}

function refuseIfUsed(directory: string): void {
  const pids = processesBelow(directory);
  if (pids.length === 0) return;
  throw new StrataError(
    'CGROUP_IN_USE',
    `the cgroup ${directory} has processes: ${pids.slice(0, 5)}`,
    {
      path: directory,
      hint: 'another container has this cgroupsPath',
    },
  );
}

function processesBelow(directory: string): number[] {
  const text = readIfThere(`${directory}/cgroup.procs`);
  if (text === undefined) return [];
  const own = text.split('\n').filter(Boolean).map(Number);
  return [...own, ...subdirectories(directory).flatMap(processesBelow)];
}

function subdirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${directory}/${name}`);
  } catch (error) {
    if (errnoOf(error) === ENOENT) return [];
    throw error;
  }
}

/** Removes from the leaves up. Usually there are none: one rmdir(2) and done. */
function removeTree(directory: string): void {
  const deadline = Date.now() + EMPTY_PATIENCE_MS;
  for (;;) {
    const errno = removeDirectory(directory);
    if (errno === 0 || errno === ENOENT) return;
    if (errno !== EBUSY) throw busy(directory, errno);
    for (const child of subdirectories(directory)) removeTree(child);
    if (Date.now() > deadline) throw busy(directory, errno);
    const pids = processesBelow(directory);
    if (pids.length > 0) sleep(EMPTY_POLL_MS);
  }
}

function removeDirectory(directory: string): number {
  try {
    rmdirSync(directory);
    return 0;
  } catch (error) {
    return errnoOf(error) ?? -1;
  }
}

function busy(path: string, errno: number): StrataError {
  const pids = processesBelow(path);
  return new StrataError('CGROUP_BUSY', `cannot remove the cgroup ${path}: ${errnoName(errno)}`, {
    path,
    errno,
    hint: pids.length > 0 ? `processes ${pids.slice(0, 5).join(', ')} are in it` : undefined,
  });
}

function writeFile(path: string, value: string, step: string): void {
  try {
    const fd = openSync(path, 'w');
    try {
      writeSync(fd, value);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    const errno = errnoOf(cause);
    const message = `cannot write ${JSON.stringify(value.trim())} to ${path}: ${errnoName(errno ?? 0)}`;
    const hint = errno === ESRCH ? 'the process has ended' : undefined;
    throw new StrataError('CGROUP_WRITE', message, { step, path, errno, cause, hint });
  }
}

/** False where the file is not there or refuses: for what a kernel may lack. */
function tryWriteFile(path: string, value: string): boolean {
  try {
    writeFile(path, value, '');
    return true;
  } catch (error) {
    if (error instanceof StrataError) return false;
    throw error;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // ENODEV: the cgroup was removed while the file was open.
    if (errnoOf(error) === ENOENT || errnoOf(error) === ENODEV) return undefined;
    throw error;
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function sleep(milliseconds: number): void {
  Atomics.wait(sleeper, 0, 0, milliseconds);
}
