/**
 * A cgroup with all that are below it.
 *
 * Where it is delegated, its processes make them: many, and as deep as they like, so that a path can
 * be longer than system calls take. From LONG_PATH on, what is below is reached by a descriptor:
 * /proc/self/fd/7/name. The way there is a list, not a recursion, which has its limits too.
 *
 * A cgroup is empty for rmdir(2) only when its last process has been released entirely, which is
 * some microseconds after it has disappeared from cgroup.procs and after its parent was told.
 */
import { closeSync, constants, openSync, readdirSync, rmdirSync } from 'node:fs';
import { EBUSY, ENOENT, EOPNOTSUPP, EROFS, errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { O_PATH } from '../syscalls/constants.ts';
import { readCgroupFile } from './cgroup-file.ts';
import type { Patience } from './patience.ts';
import { parseCount } from './stats/parse.ts';

/** Leaves room for one more name, and a file in it, below PATH_MAX (4096). */
const LONG_PATH = 3500;

/** A directory that the way leads through. */
class Place implements Disposable {
  readonly path: string;
  isEntered = false;
  #fd: number | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Those right below, by paths that are good until this one is disposed of. */
  children(): Place[] {
    if (this.path.length > LONG_PATH) this.#fd ??= openDirectory(this.path);
    const path = this.#fd === undefined ? this.path : `/proc/self/fd/${this.#fd}`;
    return subdirectories(path).map((below) => new Place(below));
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Undefined where it is not there. */
function openDirectory(path: string): number | undefined {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY);
  } catch (error) {
    if (errnoOf(error) === ENOENT) return undefined;
    throw error;
  }
}

export function subdirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${directory}/${name}`);
  } catch (error) {
    if (errnoOf(error) === ENOENT) return [];
    throw error;
  }
}

/** The pids in a cgroup and in those below it; none where it is not there. */
export function processesBelow(directory: string): number[] {
  const pids: number[] = [];
  const way = [new Place(directory)];
  try {
    for (;;) {
      const place = way.at(-1);
      if (!place) return pids;
      if (place.isEntered) {
        place[Symbol.dispose]();
        way.pop();
        continue;
      }
      place.isEntered = true;
      const own = readPids(place.path);
      for (const pid of own ?? []) pids.push(pid);
      if (own) for (const child of place.children()) way.push(child);
    }
  } finally {
    for (const place of way) place[Symbol.dispose]();
  }
}

/** Undefined where the cgroup is not there. */
function readPids(directory: string): number[] | undefined {
  try {
    const text = readCgroupFile(`${directory}/cgroup.procs`);
    return text === undefined ? undefined : parsePids(text);
  } catch (error) {
    // A threaded cgroup: its processes are listed by the one above it that is not.
    if (error instanceof StrataError && error.errno === EOPNOTSUPP) return [];
    throw error;
  }
}

/** @throws {StrataError} INVALID_CGROUP_FILE */
export function parsePids(text: string): number[] {
  return text
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [parseCount(line, 'cgroup.procs')]));
}

/**
 * Removes a cgroup and those below it. Usually there are none: one rmdir(2) and done.
 *
 * A process that is inside can go on making cgroups; then the time is up at some point all the same.
 *
 * @param patience how long all of it may take
 * @throws {StrataError} CGROUP_BUSY naming the processes in it; EROFS, EACCES as they come
 */
export function removeCgroupTree(directory: string, patience: Patience): void {
  const way = [new Place(directory)];
  try {
    for (;;) {
      const place = way.at(-1);
      if (!place) return;
      const errno = removeDirectory(place.path);
      if (errno === 0 || errno === ENOENT) {
        place[Symbol.dispose]();
        way.pop();
        continue;
      }
      if (errno !== EBUSY) throw cannotRemove(place.path, errno);
      const children = place.children();
      for (const child of children) way.push(child);
      if (children.length > 0 && !patience.isOver) patience.refresh();
      else if (!patience.pause()) throw cannotRemove(place.path, errno);
    }
  } finally {
    for (const place of way) place[Symbol.dispose]();
  }
}

function removeDirectory(directory: string): number {
  try {
    rmdirSync(directory);
    return 0;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno;
  }
}

function cannotRemove(path: string, errno: number): StrataError {
  const hint = errno === EROFS ? 'the cgroup file system is mounted read-only here' : whoIsIn(path);
  const message = `cannot remove the cgroup ${path}: ${errnoName(errno)}`;
  return new StrataError('CGROUP_BUSY', message, { path, errno, hint });
}

/** `in it: 812 sleep (S), 813 dd (D); state D ends with its I/O`; undefined where nobody is. */
export function whoIsIn(directory: string): string | undefined {
  const pids = processesBelow(directory);
  if (pids.length === 0) return undefined;
  const shown = pids.slice(0, MOST_SHOWN).map(describeProcess);
  const more = pids.length > MOST_SHOWN ? ` and ${pids.length - MOST_SHOWN} more` : '';
  const isStuck = shown.some((text) => text.endsWith('(D)'));
  return `in it: ${shown.join(', ')}${more}${isStuck ? '; state D ends with its I/O' : ''}`;
}

const MOST_SHOWN = 5;

function describeProcess(pid: number): string {
  // 0 is a process of another PID namespace, which cannot be seen from here.
  if (pid === 0) return 'one of another PID namespace';
  const stat = readCgroupFile(`/proc/${pid}/stat`);
  const [, name, state] = /^\d+ \(([\s\S]*)\) (\w)/.exec(stat ?? '') ?? [];
  return name === undefined
    ? `${pid} (gone)`
    : `${pid} ${JSON.stringify(name).slice(1, -1)} (${state})`;
}
