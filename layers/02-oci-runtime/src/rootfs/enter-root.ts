/**
 * From the host's mount tree to the container's own.
 *
 *   1. the new mount namespace stops telling the host about its mounts (rslave)
 *   2. the rootfs becomes a mount of its own, held by descriptor
 *   3. everything is mounted below that descriptor (mounts.ts, devices.ts, ...)
 *   4. pivot_root(".", "."): the new root is stacked over the old one, which is then detached
 *
 * @see pivot_root(2), section 'pivot_root(".", ".")'
 */
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  RootDirectory,
  type Syscalls,
} from '@strata/namespaces';

const PROPAGATION: Record<string, number> = {
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE | MS_REC,
  slave: MS_SLAVE,
  rslave: MS_SLAVE | MS_REC,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  unbindable: MS_UNBINDABLE,
  runbindable: MS_UNBINDABLE | MS_REC,
};

/**
 * Stops mount events from reaching the host. `rootfsPropagation` is applied to the container's root
 * later: what the host sees must never depend on it, unless it asks for shared mounts.
 */
export function isolateMounts(sys: Syscalls, rootfsPropagation: string | undefined): void {
  const wanted = PROPAGATION[rootfsPropagation ?? 'rslave'] ?? MS_SLAVE | MS_REC;
  const isPrivate = (wanted & MS_PRIVATE) !== 0;
  sys.mount({ target: '/', flags: (isPrivate ? MS_PRIVATE : MS_SLAVE) | MS_REC });
}

/** Makes the directory a mount of its own and returns it as the root of what follows. */
export function openRootfs(sys: Syscalls, path: string): RootDirectory {
  const place = sys.openat2Later(path, { flags: O_PATH | O_DIRECTORY });
  const tree = sys.openTreeLater(place, '', OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);
  // pivot_root(2) refuses a root that propagates; the parent has been made slave already.
  sys.mountSetattr(tree, { propagation: MS_PRIVATE });
  sys.moveMount(tree, place);
  return new RootDirectory(sys, tree);
}

/** Swaps the process's root for `rootfs` and lets go of the old tree. */
export function pivotInto(sys: Syscalls, rootfs: RootDirectory): void {
  sys.fchdir(rootfs.fd);
  sys.pivotRoot('.', '.');
  // The old root now lies on top at '.'; the container's tree is below it.
  sys.umount('.', MNT_DETACH);
  sys.chdir('/');
}

/** Applies the spec's root.readonly to the root mount itself, not to mounts below it. */
export function makeRootReadonly(sys: Syscalls, rootfs: RootDirectory): void {
  sys.mountSetattr(rootfs.fd, { set: MOUNT_ATTR_RDONLY });
}

/** Applies linux.rootfsPropagation to the container's root, after the pivot. */
export function propagateRoot(sys: Syscalls, rootfsPropagation: string): void {
  const flags = PROPAGATION[rootfsPropagation];
  if (flags !== undefined) sys.mount({ target: '/', flags });
}
