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
  type Descriptor,
  ENOENT,
  ENOTDIR,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  newTmpfs,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  type RootDirectory,
  S_IFCHR,
  S_IFMT,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';

/** Hides each path that exists. */
export function maskPaths(sys: Syscalls, rootfs: RootDirectory, paths: readonly string[]): void {
  const nullDevice = hostNullDevice(sys);
  const directories = rootfs.openAll(paths, O_PATH | O_DIRECTORY);
  const all = rootfs.openAll(paths, O_PATH);
  let empty: Descriptor | undefined;
  for (const [index, path] of paths.entries()) {
    const directory = there(sys, path, directories[index]!);
    const target = directory ?? there(sys, path, all[index]!);
    if (target === undefined) continue;
    if (directory === undefined) {
      const copy = sys.openTreeLater(nullDevice(), '', OPEN_TREE_CLONE | AT_EMPTY_PATH);
      sys.moveMount(copy, target);
    } else if (empty === undefined) {
      empty = emptyDirectory(sys);
      sys.moveMount(empty, target);
    } else {
      // Copies are made of the one that is mounted: before Linux 6.15 a detached mount has none.
      sys.moveMount(sys.openTreeLater(empty, '', OPEN_TREE_CLONE | AT_EMPTY_PATH), target);
    }
  }
}

/** @throws {SyscallError} where a path could not be looked at, which must not count as absent */
function there(sys: Syscalls, path: string, opened: Descriptor): number | undefined {
  const fd = sys.settle(opened);
  if (fd >= 0) return fd;
  if (fd === -ENOENT || fd === -ENOTDIR) return undefined;
  throw sys.failure('openat2', -fd, [path]);
}

/** Makes each path that exists a read-only mount of itself. */
export function makePathsReadonly(
  sys: Syscalls,
  rootfs: RootDirectory,
  paths: readonly string[],
): void {
  for (const [index, opened] of rootfs.openAll(paths, O_PATH).entries()) {
    const target = there(sys, paths[index]!, opened);
    if (target === undefined) continue;
    const copy = sys.openTreeLater(target, '', OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);
    sys.mountSetattr(copy, { set: MOUNT_ATTR_RDONLY }, AT_RECURSIVE);
    sys.moveMount(copy, target);
  }
}

const emptyDirectory = (sys: Syscalls): Descriptor =>
  newTmpfs(sys, {
    sizeBytes: 0,
    inodes: 2,
    mode: 0o755,
    attributes: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
  });

/** Opens it; what is returned gives the descriptor, once the deferred calls are executed. */
function hostNullDevice(sys: Syscalls): () => Descriptor {
  const fd = sys.openTreeLater(AT_FDCWD, '/dev/null', 0);
  const status = sys.statxLater(fd, '', AT_EMPTY_PATH);
  return () => {
    const { mode, rdevMajor, rdevMinor } = status();
    if ((mode & S_IFMT) === S_IFCHR && rdevMajor === 1 && rdevMinor === 3) return fd;
    throw new StrataError('EINVAL', '/dev/null of the host is not the null device (1:3)', {
      path: '/dev/null',
      hint: 'recreate it: rm /dev/null && mknod -m 666 /dev/null c 1 3',
    });
  };
}
