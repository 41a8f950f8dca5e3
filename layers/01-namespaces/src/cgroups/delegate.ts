/**
 * Handing a cgroup over to a user, who may then make cgroups below it and spread its processes among
 * them, within the limits that it has.
 *
 *   v2                the directory, and of its files those that /sys/kernel/cgroup/delegate lists
 *   v1 name=systemd   the directory, cgroup.procs and tasks: a hierarchy without controllers has no limits
 *   v1, all others    nothing: who owns a directory there owns its limits, and those of its parent
 *                     are not always above them
 *
 * The files with the cgroup's own limits stay with their owner.
 *
 * @see cgroups(7), "Cgroups delegation", runtime-spec config-linux.md#cgroup-ownership
 */
import { readFileSync } from 'node:fs';
import { ENOENT } from '../errors/errno.ts';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../syscalls/constants.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import { UNIFIED_KEY } from './layout.ts';

const LIST = '/sys/kernel/cgroup/delegate';
/** What is delegated on kernels before 4.15, which have no list. */
const FILES_WITHOUT_LIST = ['cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads'];
const V1_FILES = ['cgroup.procs', 'tasks'];

/** Of a hierarchy without controllers, which exists to know processes by. */
const isNamed = (key: string): boolean => key.startsWith('name=');

/**
 * Gives `uid` the cgroup whose directories by hierarchy these are.
 * @param sys executes the changes: a process that may chown(2) them
 */
export function delegateCgroup(
  paths: Readonly<Record<string, string>>,
  uid: number,
  sys: Syscalls,
): void {
  for (const [key, directory] of Object.entries(paths)) {
    if (key !== UNIFIED_KEY && !isNamed(key)) continue;
    const files = key === UNIFIED_KEY ? delegatedFiles() : V1_FILES;
    for (const path of [directory, ...files.map((file) => `${directory}/${file}`)]) {
      // A file may belong to a controller that this cgroup does not have.
      const args = [AT_FDCWD, path, uid, -1, AT_SYMLINK_NOFOLLOW];
      sys.later('fchownat', args, { accepts: path === directory ? [] : [ENOENT] });
    }
  }
}

function delegatedFiles(): string[] {
  try {
    return readFileSync(LIST, 'utf8').split('\n').filter(Boolean);
  } catch {
    return FILES_WITHOUT_LIST;
  }
}
