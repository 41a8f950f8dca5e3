/**
 * `--no-pivot`: a root that is put over the old one, for machines that run from an initial ramdisk, whose
 * root the kernel does not let go of (pivot_root(2): EINVAL).
 *
 *   1. proc and sysfs of the host are unmounted, or covered: below, they would be within reach of a
 *      process that gets out of its root, and unmasked
 *   2. the new root is moved onto `/`, and becomes the process's root
 *
 * All else of the host stays mounted below: this confines less, and is for where nothing else is to be had.
 *
 * @see runc libcontainer/rootfs_linux.go, msMoveRoot
 */
import {
  MNT_DETACH,
  type MountInfo,
  MS_REC,
  MS_SLAVE,
  O_DIRECTORY,
  O_PATH,
  type RootDirectory,
  type Syscalls,
} from '@strata/namespaces';
import { changeRoot } from './enter-root.ts';

const TELLING_FILE_SYSTEMS = new Set(['proc', 'sysfs']);

/**
 * @param init whose mounts these are
 * @param path where the new root is mounted, in sight of the init
 */
export function moveToRootfs(
  init: { sys: Syscalls; mounts(): readonly MountInfo[] },
  rootfs: RootDirectory,
  path: string,
): void {
  const { sys } = init;
  sys.flush();
  const ofHost = init
    .mounts()
    .filter(({ type, mountPoint }) => TELLING_FILE_SYSTEMS.has(type) && !isBelow(path, mountPoint))
    .map(({ mountPoint }) => mountPoint);
  for (const mountPoint of ofHost.reverse()) {
    // No unmount of the container's is to reach the host.
    sys.mount({ target: mountPoint, flags: MS_SLAVE | MS_REC });
    const isGone = sys.attempt('umount2', mountPoint, MNT_DETACH) === 0;
    // In a user namespace what came from the host is locked.
    if (!isGone) sys.mount({ source: 'tmpfs', target: mountPoint, type: 'tmpfs' });
  }
  const root = sys.openat2Later('/', { flags: O_PATH | O_DIRECTORY });
  sys.moveMount(rootfs.fd, root);
  changeRoot(sys, rootfs.fd);
  sys.chdir('/');
}

const isBelow = (path: string, place: string): boolean =>
  place === path || place.startsWith(`${path}/`);
