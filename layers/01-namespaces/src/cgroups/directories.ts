/** The directories of cgroups are made from the root down. How they are removed: tree.ts. */
import { mkdirSync } from 'node:fs';
import {
  EACCES,
  EAGAIN,
  EEXIST,
  ENOENT,
  ENOSPC,
  EPERM,
  EROFS,
  errnoName,
} from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import type { Hierarchy } from './layout.ts';
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
