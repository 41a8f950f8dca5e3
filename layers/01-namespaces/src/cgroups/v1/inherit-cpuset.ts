/**
 * A new v1 cpuset has no processors and no memory nodes, and takes no process until it has: it is
 * given those of its parent. (On v2 an empty cpuset means the parent's.)
 *
 * @see cpuset(7)
 */
import { StrataError } from '../../errors/strata-error.ts';
import { readCgroupFile, writeCgroupFile } from '../cgroup-file.ts';

const FILES = ['cpuset.cpus', 'cpuset.mems'];

/** @param path of the new cgroup, below the mount point */
export function inheritCpuset(mountPoint: string, path: string): void {
  for (const file of FILES) inherit(mountPoint, path, file);
}

function inherit(mountPoint: string, path: string, file: string): string {
  const parent = path.slice(0, path.lastIndexOf('/'));
  const source = `${mountPoint}${parent}/${file}`;
  let value = readCgroupFile(source)?.trim();
  // A parent that somebody else has made may be empty itself.
  if (!value && parent !== '') value = inherit(mountPoint, parent, file);
  if (!value) {
    throw new StrataError('CGROUP_CREATE', `${source} is empty`, { path: source });
  }
  writeCgroupFile(`${mountPoint}${path}/${file}`, value, 'inherit cpuset');
  return value;
}
