/**
 * Id-mapped mounts: files that belong to other users here than on their disk.
 *
 *   range { inside: 0, outside: 100000, count: 65536 }
 *
 *   on disk        through the mount
 *   owner 0        owner 100000
 *   owner 1000     owner 101000
 *   owner 70000    nobody (65534), and cannot be written to
 *
 * What the owner 100000 makes through the mount belongs to 0 on the disk. Nothing else changes there,
 * so that one image serves containers with different id maps. The map is that of a user namespace;
 * one that nobody lives in is made for it by a stub.
 *
 * @see mount_setattr(2), section ID-mapped mounts; user_namespaces(7)
 */
import { type IdMaps, writeIdMaps } from '../namespaces/id-map.ts';
import { Stub } from '../stub/stub.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  CLONE_NEWUSER,
  MOUNT_ATTR_IDMAP,
  O_RDONLY,
  OPEN_TREE_CLONE,
} from '../syscalls/constants.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';

export interface IdMappedTreeOptions {
  /** `inside` is as on the disk, `outside` as seen through the mount. */
  maps: IdMaps;
  /** Also the mounts below it. */
  recursive?: boolean;
  /** Who mounts, with this process's /proc in sight; default: this thread. */
  sys?: Syscalls;
}

/**
 * A detached copy of the mount at a path (or of the part of it that begins there), with an id map.
 *
 * @param where a path, or a descriptor in the process that `sys` executes in
 * @returns a descriptor to be attached with `moveMount`; closing it before ends the mount
 * @throws {SyscallError} EINVAL where a file system of the tree does not support id maps, EPERM where
 *   a mount has one already (see `openTreeAttr`) or CAP_SYS_ADMIN over its file system is missing
 * @throws {StrataError} INVALID_ID_MAP, ID_MAP
 */
export function idMappedTree(where: number | string, options: IdMappedTreeOptions): number {
  const { maps, recursive = false, sys = localSyscalls() } = options;
  const all = recursive ? AT_RECURSIVE : 0;
  const usernsFd = userNamespaceWith(maps, sys);
  try {
    const tree =
      typeof where === 'string'
        ? sys.openTree(AT_FDCWD, where, OPEN_TREE_CLONE | all)
        : sys.openTree(where, '', OPEN_TREE_CLONE | AT_EMPTY_PATH | all);
    try {
      sys.mountSetattr(tree, { set: MOUNT_ATTR_IDMAP, usernsFd }, all);
      sys.flush();
      return tree;
    } catch (error) {
      sys.close(tree);
      throw error;
    }
  } finally {
    sys.close(usernsFd);
  }
}

/**
 * A user namespace with these maps and no process in it: it lives as long as something refers to it.
 *
 * @param sys who gets the descriptor, with this process's /proc in sight
 * @throws {StrataError} INVALID_ID_MAP, ID_MAP
 * @throws {SyscallError} ENOSPC where a limit of /proc/sys/user is reached; EPERM
 */
export function userNamespaceWith(maps: IdMaps, sys: Syscalls = localSyscalls()): number {
  using stub = Stub.spawn({ title: 'strata: id map' });
  stub.sys.unshare(CLONE_NEWUSER);
  writeIdMaps(stub.pid, maps);
  return sys.openat2(`/proc/${stub.pid}/ns/user`, { flags: O_RDONLY });
}
