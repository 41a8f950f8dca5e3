/**
 * The directories of cgroups: made from the root down, removed from the leaves up.
 *
 * A cgroup is empty for rmdir(2) only when its last process has been released entirely, which is
 * some microseconds after it has disappeared from cgroup.procs and after its parent was told.
 */
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import {
  EACCES,
  EAGAIN,
  EBUSY,
  EEXIST,
  ENOENT,
  ENOSPC,
  EPERM,
  EROFS,
  errnoName,
} from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { readCgroupFile } from './cgroup-file.ts';
import type { Hierarchy } from './layout.ts';
import type { Patience } from './patience.ts';
import { parseCount } from './stats/parse.ts';
import { inheritCpuset } from './v1/inherit-cpuset.ts';
import { enableControllers } from './v2/enable-controllers.ts';

/**
 * Makes a cgroup, and its parents where they are missing.
 * @param path below the mount point, with a leading slash
 * @returns whether it was made: false where it was there
 */
export function makeCgroupDirectory(hierarchy: Hierarchy, path: string): boolean {
  const directory = hierarchy.mountPoint + path;
  try {
    mkdirSync(directory, 0o755);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === EEXIST) return false;
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (errno !== ENOENT || parent === '') throw cannotMake(directory, error);
    makeCgroupDirectory(hierarchy, parent);
    return makeCgroupDirectory(hierarchy, path);
  }
  if (hierarchy.version === 2) enableControllers(hierarchy, path);
  else if (hierarchy.controllers.includes('cpuset')) inheritCpuset(hierarchy.mountPoint, path);
  return true;
}

function cannotMake(path: string, cause: unknown): StrataError {
  const errno = errnoOf(cause);
  const message = `cannot make the cgroup ${path}: ${errnoName(errno ?? 0)}`;
  const hint = MAKE_HINTS[errno ?? 0];
  return new StrataError('CGROUP_CREATE', message, { path, errno, cause, hint });
}

const MAKE_HINTS: Readonly<Record<number, string>> = {
  [EROFS]: 'the cgroup file system is mounted read-only here',
  [EACCES]: 'its parent is not delegated to this user',
  [EPERM]: 'its parent is not delegated to this user',
  [ENOENT]: 'the cgroup file system is not mounted there any more, or its parent was removed',
  [EAGAIN]: 'a cgroup above it allows no more below it (cgroup.max.descendants, cgroup.max.depth)',
  [ENOSPC]: 'there are as many cgroups as the kernel has numbers for (65535 with memory)',
};

/** @throws {StrataError} INVALID_CGROUP_FILE */
export function parsePids(text: string): number[] {
  return text
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [parseCount(line, 'cgroup.procs')]));
}

/** The pids in a cgroup and in those below it; none where it is not there. */
export function processesBelow(directory: string): number[] {
  const text = readCgroupFile(`${directory}/cgroup.procs`);
  if (text === undefined) return [];
  const own = parsePids(text);
  return [...own, ...subdirectories(directory).flatMap(processesBelow)];
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

/**
 * Removes a cgroup and those below it. Usually there are none: one rmdir(2) and done.
 *
 * A process that is inside can go on making cgroups; then the time is up at some point all the same.
 *
 * @param patience how long all of it may take
 * @throws {StrataError} CGROUP_BUSY naming the processes in it; EROFS, EACCES as they come
 */
export function removeCgroupTree(directory: string, patience: Patience): void {
  for (;;) {
    const errno = removeDirectory(directory);
    if (errno === 0 || errno === ENOENT) return;
    if (errno !== EBUSY) throw cannotRemove(directory, errno);
    const children = subdirectories(directory);
    for (const child of children) removeCgroupTree(child, patience);
    if (children.length > 0 && !patience.isOver) patience.refresh();
    else if (!patience.pause()) throw cannotRemove(directory, errno);
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
  const hint = errno === EROFS ? MAKE_HINTS[EROFS] : whoIsIn(path);
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
