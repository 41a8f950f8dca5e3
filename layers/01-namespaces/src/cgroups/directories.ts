/**
 * The directories of cgroups: made from the root down, removed from the leaves up.
 *
 * A cgroup is empty for rmdir(2) only when its last process has been released entirely, which is
 * some microseconds after it has disappeared from cgroup.procs and after its parent was told.
 */
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { EBUSY, EEXIST, ENOENT, errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { readCgroupFile } from './cgroup-file.ts';
import type { Hierarchy } from './layout.ts';
import type { Patience } from './patience.ts';
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
  return new StrataError('CGROUP_CREATE', message, {
    path,
    errno,
    cause,
    hint: 'the cgroup file system must be writable: is it mounted read-only, or not delegated to us?',
  });
}

/** The pids in a cgroup and in those below it; none where it is not there. */
export function processesBelow(directory: string): number[] {
  const text = readCgroupFile(`${directory}/cgroup.procs`);
  if (text === undefined) return [];
  const own = text.split('\n').filter(Boolean).map(Number);
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
 * @param patience how long processes that are ending are waited for
 * @throws {StrataError} CGROUP_BUSY
 */
export function removeCgroupTree(directory: string, patience: Patience): void {
  for (;;) {
    const errno = removeDirectory(directory);
    if (errno === 0 || errno === ENOENT) return;
    if (errno !== EBUSY) throw cannotRemove(directory, errno);
    const children = subdirectories(directory);
    for (const child of children) removeCgroupTree(child, patience);
    if (children.length > 0) patience.refresh();
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
  const pids = processesBelow(path);
  return new StrataError('CGROUP_BUSY', `cannot remove the cgroup ${path}: ${errnoName(errno)}`, {
    path,
    errno,
    hint: pids.length > 0 ? `processes ${pids.slice(0, 5).join(', ')} are in it` : undefined,
  });
}
