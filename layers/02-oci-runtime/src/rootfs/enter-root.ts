/**
 * From the host's mount tree to the container's own.
 *
 *   1. the new mount namespace stops telling the host about its mounts (rslave)
 *   2. the rootfs becomes a mount of its own, held by descriptor
 *   3. everything is mounted below that descriptor (mounts.ts, devices.ts, ...)
 *   4. pivotInto of layer 01: the old root is stacked over the new one, then detached
 *
 * @see pivot_root(2), section 'pivot_root(".", ".")'
 */
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_REC,
  MS_SLAVE,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  PROPAGATION_WORDS,
  RootDirectory,
  type Syscalls,
} from '@strata/namespaces';

/**
 * Stops mount events from reaching the host. `rootfsPropagation` is applied to the container's root
 * later: what the host sees must never depend on it, unless it asks for shared mounts.
 */
export function isolateMounts(sys: Syscalls, rootfsPropagation: string | undefined): void {
  const wanted = PROPAGATION_WORDS[rootfsPropagation ?? 'rslave'] ?? MS_SLAVE | MS_REC;
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

/** Applies the spec's root.readonly to the root mount itself, not to mounts below it. */
export function makeRootReadonly(sys: Syscalls, rootfs: RootDirectory): void {
  sys.mountSetattr(rootfs.fd, { set: MOUNT_ATTR_RDONLY });
}

/** Applies linux.rootfsPropagation to the container's root, after the pivot. */
export function propagateRoot(sys: Syscalls, rootfsPropagation: string): void {
  const flags = PROPAGATION_WORDS[rootfsPropagation];
  if (flags !== undefined) sys.mount({ target: '/', flags });
}
