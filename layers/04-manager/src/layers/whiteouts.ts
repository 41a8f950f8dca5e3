/**
 * What a layer says about files below it that shall be gone, in the two languages there are.
 *
 *   in the archive (image-spec)        on disk (overlayfs)
 *   dir/.wh.name      name is gone     dir/name, a character device 0:0
 *   dir/.wh..wh..opq  all is gone      dir with trusted.overlay.opaque = "y"
 *
 * @see https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
 * @see https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
 */
import { type FileStatus, localSyscalls, S_IFCHR, S_IFMT } from '@strata/namespaces';
import { invalid } from './layer-entry.ts';

const PREFIX = '.wh.';
const OPAQUE = '.wh..wh..opq';
const OPAQUE_XATTR = 'trusted.overlay.opaque';

export type Whiteout =
  | { kind: 'opaque' }
  | { kind: 'file'; name: string }
  /** Notes that aufs left for itself. */
  | { kind: 'meaningless' };

/**
 * What a file name in an archive says; undefined for an ordinary name.
 * @throws {StrataError} INVALID_LAYER for `.wh..` and `.wh...`, which name a directory itself
 */
export function whiteoutOf(name: string): Whiteout | undefined {
  if (!name.startsWith(PREFIX)) return undefined;
  if (name === OPAQUE) return { kind: 'opaque' };
  const target = name.slice(PREFIX.length);
  if (target.startsWith(PREFIX)) return { kind: 'meaningless' };
  if (target === '' || target === '.' || target === '..') {
    throw invalid(name, 'a whiteout of no file');
  }
  return { kind: 'file', name: target };
}

/** True for a file that overlayfs takes for a whiteout. */
export const isWhiteout = (status: FileStatus): boolean =>
  (status.mode & S_IFMT) === S_IFCHR && status.rdevMajor === 0 && status.rdevMinor === 0;

export function makeWhiteout(parent: number, name: string): void {
  localSyscalls().mknodat(parent, name, S_IFCHR, 0);
}

/** Hides what lower layers have in the open directory `fd`. */
export function setOpaque(fd: number): void {
  localSyscalls().fsetxattr(fd, OPAQUE_XATTR, Buffer.from('y'));
}

export function isOpaque(path: string): boolean {
  const value = localSyscalls().lgetxattr(path, OPAQUE_XATTR);
  return value !== undefined && Buffer.from(value).toString() === 'y';
}
