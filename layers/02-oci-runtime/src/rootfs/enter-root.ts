/**
 * From the host's mount tree to the container's own.
 *
 *   1. the new mount namespace stops telling the host about its mounts (rslave), unless it is to share
 *   2. the rootfs becomes a mount of its own, held by descriptor
 *   3. everything is mounted below that descriptor (mounts.ts, devices.ts, ...)
 *   4. pivotInto of layer 01: the old root is stacked over the new one, then detached
 *
 * A container without a mount namespace has its mounts in the host's (host-mounts.ts): there 1 is left
 * out, and instead of 4 the root is changed for its process alone.
 *
 * @see pivot_root(2), section 'pivot_root(".", ".")'
 */
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  type Descriptor,
  MOUNT_ATTR_RDONLY,
  type MountInfo,
  MS_PRIVATE,
  MS_REC,
  MS_SLAVE,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  PROPAGATION_WORDS,
  pivotInto,
  RESOLVE_NO_SYMLINKS,
  type RootDirectory,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';

import { ContainerRoot } from './container-root.ts';

/**
 * Whether the init's mounts stay peers of the host's: what is mounted below one of them is then seen
 * by both. That is what shared volumes need, and asked for by rootfsPropagation.
 */
export const hostHears = (rootfsPropagation: string | undefined): boolean =>
  rootfsPropagation === 'shared' || rootfsPropagation === 'rshared';

/** Stops mount events from reaching the host, and with `private` also those that come from there. */
export function isolateMounts(sys: Syscalls, rootfsPropagation = ''): void {
  if (hostHears(rootfsPropagation)) return;
  const isPrivate = /private|unbindable/.test(rootfsPropagation);
  sys.mount({ target: '/', flags: (isPrivate ? MS_PRIVATE : MS_SLAVE) | MS_REC });
}

/**
 * Makes the directory a mount of its own and returns it as the root of what follows. Where mounts are
 * the host's peers, this one and all that it is made of are cut off first.
 *
 * @param init whose mounts these are, and how they are listed
 * @param options.onHost whether these are the host's mounts: then nothing below the root is to reach
 *   whoever hears of them
 */
export function openRootfs(
  init: Inhabitant,
  path: string,
  options: { rootfsPropagation?: string | undefined; onHost: boolean },
): ContainerRoot {
  const { sys } = init;
  const { rootfsPropagation = '', onHost } = options;
  // Links were resolved when the bundle was read: one that is there now has been put there since.
  const how = { flags: O_PATH | O_DIRECTORY, resolve: RESOLVE_NO_SYMLINKS };
  const place = sys.openat2Later(path, how);
  if (hostHears(rootfsPropagation)) cutOffMountOf(init, sys.settle(place));
  const tree = sys.openTreeLater(place, '', OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);
  if (hostHears(rootfsPropagation)) {
    sys.mountSetattr(tree, { propagation: MS_SLAVE }, AT_RECURSIVE);
  }
  // pivot_root(2) refuses a root that propagates; what may hear the host is its slave already.
  if (!/slave/.test(rootfsPropagation)) {
    sys.mountSetattr(tree, { propagation: MS_PRIVATE }, onHost ? AT_RECURSIVE : 0);
  }
  sys.moveMount(tree, place);
  return new ContainerRoot(sys, tree);
}

interface Inhabitant {
  sys: Syscalls;
  mounts(): readonly MountInfo[];
}

/** What is mounted on a mount reaches its peers: the container's root must not reach the host. */
function cutOffMountOf({ sys, mounts }: Inhabitant, place: number): void {
  const { mountId } = sys.statx(place, '', AT_EMPTY_PATH);
  const mount = mounts().find(({ id }) => id === mountId);
  const root = mount && sys.openat2(mount.mountPoint, { flags: O_PATH });
  if (root === undefined || sys.statx(root, '', AT_EMPTY_PATH).mountId !== mountId) {
    const field = 'linux.rootfsPropagation';
    const message = `${field}: cannot find the root of the mount that the rootfs is on`;
    throw new StrataError('PROPAGATION', message, { field, path: mount?.mountPoint });
  }
  sys.mountSetattr(root, { propagation: MS_PRIVATE });
  sys.close(root);
}

/** Swaps the roots; unmounting the old one, which may have peers on the host, is not for them. */
export function pivotToRootfs(
  sys: Syscalls,
  rootfs: RootDirectory,
  rootfsPropagation: string | undefined,
): void {
  pivotInto(sys, rootfs.fd, { hasPeers: hostHears(rootfsPropagation) });
}

/** For a process whose mount namespace is the host's: its root is another one, and nobody else's. */
export function changeRoot(sys: Syscalls, root: Descriptor): void {
  sys.fchdir(root);
  sys.chroot('.');
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
