/**
 * An overlay of directories.
 *
 *   lowers[0]  topmost              read only, may be shared
 *   ...
 *   lowers[n]  lowest
 *   upper      where changes go; without it the overlay is read only
 *   work       overlayfs's own, empty, on the same file system as `upper`
 *
 * `openOverlay` makes a detached mount: it is in no mount namespace until move_mount(2) attaches it,
 * so it can be handed as a descriptor to whoever builds a container's namespace. An
 * `OverlayDescription` is plain data, for someone who mounts it elsewhere. Three ways to say it, of
 * which the first that the kernel knows is taken:
 *
 *   appended   lowerdir+ for each (Linux 6.7), paths as they are
 *   joined     lowerdir=a:b:c, with `\` before `\` and `:`; long paths by /proc/self/fd
 *   classic    the same by mount(2), for more layers than 255 bytes can name; cannot be detached
 *
 * @see https://docs.kernel.org/filesystems/overlayfs.html
 */
import { EINVAL } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { MNT_DETACH, O_DIRECTORY, O_NOFOLLOW, O_PATH } from '../syscalls/constants.ts';
import type { Descriptor } from '../syscalls/memory.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import {
  FSCONFIG_LIMIT_BYTES,
  inContext,
  type Parameter,
  setParameter,
} from './new-file-system.ts';

export interface OverlayDescription {
  /** Directories, topmost first; at least one, and two where there is no `upper`. */
  lowers: readonly string[];
  upper?: string;
  work?: string;
  /**
   * Leaves out every fsync and the sync at unmount. After a crash of the machine (not of a
   * process) the changes must not be used again; for containers that do not outlive a boot.
   */
  volatile?: boolean;
  /** Further parameters: index, metacopy, redirect_dir, userxattr, xino, ... */
  parameters?: readonly Parameter[];
}

export type OverlayForm = 'appended' | 'joined' | 'classic';

/**
 * Makes a detached overlay mount.
 *
 * @param form only this one; default: `appended`, or where the kernel refuses that, `joined`
 * @returns its descriptor; closing it before it is attached ends the mount
 * @throws {FileSystemError} what overlayfs says is wrong
 * @throws {StrataError} TOO_MANY_LAYERS where the kernel is older than 6.7 and they cannot be named in
 *   255 bytes
 */
export function openOverlay(
  overlay: OverlayDescription,
  sys: Syscalls = localSyscalls(),
  form?: Exclude<OverlayForm, 'classic'>,
): number {
  if (form === 'joined') return openJoined(overlay, sys);
  try {
    return openAppended(overlay, sys);
  } catch (error) {
    // Before Linux 6.5 an unknown parameter is refused when the superblock is created.
    if (form === 'appended' || errnoOf(error) !== EINVAL) throw error;
    return retried(error, () => openJoined(overlay, sys));
  }
}

/**
 * Mounts an overlay at `target`, in the mount namespace of whoever executes the calls.
 * @param form only this one; default: the first that is possible
 * @throws {SyscallError} ENOTDIR for a target that is a link; as openOverlay
 */
export function mountOverlay(
  overlay: OverlayDescription,
  target: string,
  sys: Syscalls = localSyscalls(),
  form?: OverlayForm,
): void {
  if (form === 'classic') {
    mountClassic(overlay, target, sys);
    return;
  }
  let mount: number;
  try {
    mount = openOverlay(overlay, sys, form);
  } catch (error) {
    const isTooMany = error instanceof StrataError && error.code === 'TOO_MANY_LAYERS';
    if (form !== undefined || !isTooMany) throw error;
    mountClassic(overlay, target, sys);
    return;
  }
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

/**
 * The parameters that a `lowerdir=` of mount(8) comes to, one for each directory: split at colons,
 * `\` taken away, and those behind `::` for data only (Linux 6.7).
 */
export function lowerParameters(lowerdir: string): Parameter[] {
  const [lowers = '', ...dataOnly] = splitUnescaped(lowerdir, '::');
  const plain = (text: string): string => text.replace(/\\(.)/gs, '$1');
  return [
    ...splitUnescaped(lowers, ':').map((path): Parameter => ['lowerdir+', plain(path)]),
    ...dataOnly.map((path): Parameter => ['datadir+', plain(path)]),
  ];
}

function splitUnescaped(text: string, separator: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith(separator, at)) {
      parts.push(part);
      part = '';
      at += separator.length - 1;
    } else {
      // What a backslash stands before is taken as it is.
      const width = text[at] === '\\' ? 2 : 1;
      part += text.slice(at, at + width);
      at += width - 1;
    }
  }
  return [...parts, part];
}

function openAppended(overlay: OverlayDescription, sys: Syscalls): number {
  const open: number[] = [];
  try {
    return inContext(sys, 'overlay', (context) => {
      sys.fsconfigSet(context, 'source', 'overlay');
      for (const lower of overlay.lowers) {
        if (Buffer.byteLength(lower) <= FSCONFIG_LIMIT_BYTES) {
          sys.fsconfigSet(context, 'lowerdir+', lower);
        } else {
          sys.fsconfigSet(context, 'lowerdir+', shortPath(sys, lower, open));
        }
      }
      return finish(overlay, sys, { context, open });
    });
  } finally {
    for (const fd of open) sys.close(fd);
  }
}

function openJoined(overlay: OverlayDescription, sys: Syscalls): number {
  const open: number[] = [];
  try {
    let lowers = overlay.lowers.map(escaped).join(':');
    // A comma was not to be had in a parameter before Linux 6.5.
    if (Buffer.byteLength(lowers) > FSCONFIG_LIMIT_BYTES || lowers.includes(',')) {
      lowers = overlay.lowers.map((lower) => shortPath(sys, lower, open)).join(':');
    }
    if (Buffer.byteLength(lowers) > FSCONFIG_LIMIT_BYTES) throw tooMany(overlay);
    return inContext(sys, 'overlay', (context) => {
      sys.fsconfigSet(context, 'source', 'overlay');
      sys.fsconfigSet(context, 'lowerdir', lowers);
      return finish(overlay, sys, { context, open });
    });
  } finally {
    for (const fd of open) sys.close(fd);
  }
}

function finish(
  overlay: OverlayDescription,
  sys: Syscalls,
  { context, open }: { context: Descriptor; open: number[] },
): number {
  for (const [key, path] of [
    ['upperdir', overlay.upper],
    ['workdir', overlay.work],
  ] as const) {
    if (path === undefined) continue;
    // These two are unescaped by the kernel, other than lowerdir+.
    let value = escaped(path);
    const isShort = Buffer.byteLength(value) <= FSCONFIG_LIMIT_BYTES && !value.includes(',');
    if (!isShort) value = shortPath(sys, path, open);
    sys.fsconfigSet(context, key, value);
  }
  if (overlay.volatile) sys.fsconfigSet(context, 'volatile');
  for (const parameter of overlay.parameters ?? []) setParameter(sys, context, parameter);
  sys.fsconfigCreate(context);
  // Settled before the directories are closed that the paths go through.
  return sys.settle(sys.fsmountLater(context, 0));
}

/** A name of some 17 bytes, in the process that mounts, for as long as the directory is open. */
function shortPath(sys: Syscalls, path: string, open: number[]): string {
  const fd = sys.openat2(path, { flags: O_PATH | O_DIRECTORY });
  open.push(fd);
  return `/proc/self/fd/${fd}`;
}

const escaped = (path: string): string => path.replace(/[\\:]/g, '\\$&');

/** The second way's error only where it says more than that something is wrong. */
function retried<T>(first: unknown, again: () => T): T {
  try {
    return again();
  } catch (second) {
    throw errnoOf(second) === EINVAL ? first : second;
  }
}

const PAGE_BYTES = 4096;

function mountClassic(overlay: OverlayDescription, target: string, sys: Syscalls): void {
  const open: number[] = [];
  try {
    let data = classicData(overlay, overlay.lowers);
    if (Buffer.byteLength(data) >= PAGE_BYTES) {
      data = classicData(
        overlay,
        overlay.lowers.map((lower) => shortPath(sys, lower, open)),
      );
    }
    if (Buffer.byteLength(data) >= PAGE_BYTES) throw tooMany(overlay);
    sys.mount({ source: 'overlay', target, type: 'overlay', data });
    sys.flush();
  } finally {
    for (const fd of open) sys.close(fd);
  }
}

function classicData(overlay: OverlayDescription, lowers: readonly string[]): string {
  const quoted = (path: string): string => path.replace(/[\\:,]/g, '\\$&');
  const { upper, work, parameters = [] } = overlay;
  const options = [`lowerdir=${lowers.map(quoted).join(':')}`];
  if (upper !== undefined) options.push(`upperdir=${quoted(upper)}`);
  if (work !== undefined) options.push(`workdir=${quoted(work)}`);
  if (overlay.volatile) options.push('volatile');
  for (const [key, value] of parameters)
    options.push(value === undefined ? key : `${key}=${value}`);
  return options.join(',');
}

function tooMany({ lowers }: OverlayDescription): StrataError {
  const message = `${lowers.length} layers are too many for one mount on this kernel`;
  return new StrataError('TOO_MANY_LAYERS', message, {
    hint: 'Linux 6.7 or newer has no such limit',
  });
}
