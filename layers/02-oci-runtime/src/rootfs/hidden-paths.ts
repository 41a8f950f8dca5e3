/**
 * maskedPaths and readonlyPaths.
 *
 * A masked directory gets an empty read-only tmpfs, a masked file the host's /dev/null. The null
 * device is taken from the host's tree and checked to be one: a container's own /dev/null may have
 * been swapped for a link (CVE-2025-31133).
 *
 * @see runtime-spec config-linux.md#masked-paths, #readonly-paths
 */
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  OPEN_TREE_CLONE,
  S_IFCHR,
  S_IFMT,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import type { Rootfs } from './rootfs.ts';

/** Hides each path that exists. */
export function maskPaths(sys: Syscalls, rootfs: Rootfs, paths: readonly string[]): void {
  let nullDevice: number | undefined;
  let empty: number | undefined;
  for (const path of paths) {
    const target = rootfs.openIfThere(path);
    if (target === undefined) continue;
    if (!rootfs.isDirectory(target)) {
      nullDevice ??= hostNullDevice(sys);
      sys.moveMount(sys.openTree(nullDevice, '', OPEN_TREE_CLONE | AT_EMPTY_PATH), target);
    } else if (empty === undefined) {
      empty = emptyDirectory(sys);
      sys.moveMount(empty, target);
    } else {
      // Copies are made of the one that is mounted: before Linux 6.15 a detached mount has none.
      sys.moveMount(sys.openTree(empty, '', OPEN_TREE_CLONE | AT_EMPTY_PATH), target);
    }
  }
}

/** Makes each path that exists a read-only mount of itself. */
export function makePathsReadonly(sys: Syscalls, rootfs: Rootfs, paths: readonly string[]): void {
  for (const path of paths) {
    const target = rootfs.openIfThere(path);
    if (target === undefined) continue;
    const copy = sys.openTree(target, '', OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);
    sys.mountSetattr(copy, { set: MOUNT_ATTR_RDONLY }, AT_RECURSIVE);
    sys.moveMount(copy, target);
  }
}

function emptyDirectory(sys: Syscalls): number {
  const context = sys.fsopen('tmpfs');
  sys.fsconfigSet(context, 'size', '0');
  sys.fsconfigSet(context, 'nr_inodes', '2');
  sys.fsconfigSet(context, 'mode', '755');
  sys.fsconfigCreate(context);
  const fd = sys.fsmount(
    context,
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
  );
  sys.close(context);
  return fd;
}

function hostNullDevice(sys: Syscalls): number {
  const fd = sys.openTree(AT_FDCWD, '/dev/null', 0);
  const status = sys.statx(fd, '', AT_EMPTY_PATH);
  const isNull =
    (status.mode & S_IFMT) === S_IFCHR && status.rdevMajor === 1 && status.rdevMinor === 3;
  if (!isNull) {
    throw new StrataError('EINVAL', '/dev/null of the host is not the null device (1:3)', {
      path: '/dev/null',
      hint: 'recreate it: rm /dev/null && mknod -m 666 /dev/null c 1 3',
    });
  }
  return fd;
}
