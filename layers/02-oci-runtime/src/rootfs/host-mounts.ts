/**
 * A container without a mount namespace: its mounts are the host's.
 *
 *   /bundles/web/rootfs    the container's root, a mount over itself; private, so what is mounted
 *     /proc, /dev, ...     below it reaches nobody who hears of the host's mounts
 *
 * Its process is rooted there by chroot(2): pivot_root(2) would move the host into the container. All
 * of it goes with the container, whoever is killed when: the record, written before, says which mount
 * the root is put over, and so which one at that place is ours.
 *
 * @see runtime-spec config-linux.md#namespaces: what is not listed is inherited from the runtime
 */
import { readFileSync } from 'node:fs';
import {
  AT_FDCWD,
  localSyscalls,
  MNT_DETACH,
  parseMountinfo,
  UMOUNT_NOFOLLOW,
} from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import { isOurs } from '../namespaces/namespaces.ts';

/** Whether the container is to have the mount namespace that we are in, unsaid or by its path. */
export function hasHostMounts(spec: Spec): boolean {
  const mount = spec.linux?.namespaces?.find(({ type }) => type === 'mount');
  return !mount || isOurs(mount);
}

/** The id of the mount that a path leads to. */
export const mountBelow = (path: string): number => localSyscalls().statx(AT_FDCWD, path).mountId;

/** Takes away what the container has mounted, if it got that far. */
export function removeHostMounts(record: { rootfs: string; rootIsOver?: number }): void {
  const { rootfs, rootIsOver } = record;
  if (rootIsOver === undefined) return;
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
  const isThere = mounts.some(
    ({ mountPoint, parentId }) => mountPoint === rootfs && parentId === rootIsOver,
  );
  if (isThere) localSyscalls().umount(rootfs, MNT_DETACH | UMOUNT_NOFOLLOW);
}
