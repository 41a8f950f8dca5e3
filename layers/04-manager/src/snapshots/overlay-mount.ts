/**
 * An overlay mount of snapshots and a container's own directory, by the descriptor-based interface.
 *
 *   lowers[0]  topmost snapshot      read only, shared
 *   ...
 *   lowers[n]  lowest snapshot
 *   upper      the container's changes
 *   work       overlayfs's own, on the same file system as `upper`
 *
 * `openOverlay` makes a detached mount: it is in no mount namespace until `move_mount` attaches
 * it, so it can be handed as a descriptor to whoever builds a container's namespace. An
 * `OverlayDescription` is plain data, for someone who mounts it elsewhere.
 * @see https://docs.kernel.org/filesystems/overlayfs.html
 */
import {
  EINVAL,
  errnoOf,
  localSyscalls,
  MNT_DETACH,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';

export interface OverlayDescription {
  /** Directories, topmost first; at least one. */
  lowers: readonly string[];
  upper: string;
  work: string;
  /**
   * Leaves out every fsync and the sync at unmount. After a crash of the machine (not of a
   * process) the changes must not be used again; for containers that do not outlive a boot.
   */
  volatile?: boolean;
}

/**
 * Makes a detached overlay mount.
 * @returns its descriptor; closing it before it is attached ends the mount
 * @throws {SyscallError}
 */
export function openOverlay(overlay: OverlayDescription, sys: Syscalls = localSyscalls()): number {
  const context = sys.fsopen('overlay');
  try {
    sys.fsconfigSet(context, 'source', 'overlay');
    // Appending came with Linux 6.7; `lowerdir` as one string would be limited to 255 bytes here.
    for (const lower of overlay.lowers) sys.fsconfigSet(context, 'lowerdir+', lower);
    sys.fsconfigSet(context, 'upperdir', overlay.upper);
    sys.fsconfigSet(context, 'workdir', overlay.work);
    if (overlay.volatile) sys.fsconfigSet(context, 'volatile');
    sys.fsconfigCreate(context);
    return sys.fsmount(context, 0);
  } finally {
    sys.close(context);
  }
}

/**
 * Mounts an overlay at `target`, in the mount namespace of whoever executes the calls.
 * @throws {SyscallError}
 */
export function mountOverlay(
  overlay: OverlayDescription,
  target: string,
  sys: Syscalls = localSyscalls(),
): void {
  const mount = openDetached(overlay, target, sys);
  if (mount === undefined) return;
  try {
    const place = sys.openat2(target, { flags: O_PATH | O_DIRECTORY | O_NOFOLLOW });
    try {
      sys.moveMount(mount, place);
    } finally {
      sys.close(place);
    }
  } finally {
    sys.close(mount);
  }
}

/** Ends every mount at `target`; nothing where there is none. */
export function unmountAll(target: string, sys: Syscalls = localSyscalls()): void {
  for (;;) {
    const result = sys.attempt('umount2', target, MNT_DETACH);
    if (result === -EINVAL) return;
    if (result < 0) throw sys.failure('umount2', -result, [target, MNT_DETACH]);
  }
}

/** Undefined where the kernel is older than `lowerdir+` and the classic call has mounted it. */
function openDetached(
  overlay: OverlayDescription,
  target: string,
  sys: Syscalls,
): number | undefined {
  try {
    return openOverlay(overlay, sys);
  } catch (error) {
    if (errnoOf(error) !== EINVAL || !refusedAppending(error)) throw error;
    mountClassic(overlay, target, sys);
    return undefined;
  }
}

const refusedAppending = (error: unknown): boolean =>
  error instanceof Error && error.message.includes('lowerdir+');

const PAGE_BYTES = 4096;

function mountClassic(overlay: OverlayDescription, target: string, sys: Syscalls): void {
  const escaped = (path: string): string => path.replace(/[\\:,]/g, '\\$&');
  const lowers = overlay.lowers.map(escaped).join(':');
  const { upper, work } = overlay;
  const options = [`lowerdir=${lowers}`, `upperdir=${escaped(upper)}`, `workdir=${escaped(work)}`];
  if (overlay.volatile) options.push('volatile');
  const data = options.join(',');
  if (Buffer.byteLength(data) >= PAGE_BYTES) {
    const message = `${overlay.lowers.length} layers are too many for one mount on this kernel`;
    throw new StrataError('EINVAL', message, { hint: 'Linux 6.7 or newer has no such limit' });
  }
  sys.mount({ source: 'overlay', target, type: 'overlay', data });
}
