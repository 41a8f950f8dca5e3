/**
 * The directory a layer is unpacked into, and the safe way to its places.
 *
 * A layer may make a symbolic link and then write "through" it. All paths are therefore resolved by
 * the kernel with RESOLVE_IN_ROOT: `..` and absolute links stop at the layer's own root, whatever
 * the layer has put there. The last component is never followed at all.
 *
 * A layer need not have entries for the directories its files are in. If such a directory is in a
 * layer below, ours becomes its likeness (a plain 0755 directory would hide /tmp's 1777), and if
 * what is below is a symbolic link (/bin → usr/bin), the file goes where the link leads, as it
 * would on a mounted image.
 */
import {
  AT_SYMLINK_NOFOLLOW,
  ELOOP,
  ENOENT,
  ENOTDIR,
  errnoOf,
  type FileStatus,
  localSyscalls,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
} from '@strata/namespaces';
import { invalid } from './layer-entry.ts';
import { findBelow } from './lower-layers.ts';
import { isWhiteout, setOpaque } from './whiteouts.ts';

const INSIDE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
const AS_WRITTEN = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
/** As the kernel's own limit, MAXSYMLINKS. */
const MAX_LINKS = 40;

export const isType = (status: FileStatus, type: number): boolean =>
  (status.mode & S_IFMT) === type;

export class LayerRoot implements Disposable {
  readonly #fd: number;
  /** Unpacked layers below this one, topmost first. */
  readonly #lowers: readonly string[];
  #cached: { path: string; fd: number } | undefined;
  /** Times of directories that were made for their content, to be set when all is unpacked. */
  readonly impliedTimes = new Map<string, bigint>();

  constructor(path: string, lowers: readonly string[]) {
    this.#lowers = lowers;
    this.#fd = localSyscalls().openat2(path, { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });
  }

  get hasLowers(): boolean {
    return this.#lowers.length > 0;
  }

  /** The root itself, open for reading. Belongs to this object. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * The directory that holds the last component of `path`, made where it is missing.
   * The descriptor (O_PATH) is valid until the next call.
   */
  parentOf(path: readonly string[]): number {
    const parents = path.slice(0, -1);
    const key = parents.join('/');
    if (this.#cached?.path === key) return this.#cached.fd;
    const fd = this.open(key || '.', O_PATH | O_DIRECTORY) ?? this.#make(parents);
    this.forget();
    this.#cached = { path: key, fd };
    return fd;
  }

  /** Forgets the last parent: something on the way may have been replaced. */
  forget(): void {
    if (this.#cached) localSyscalls().close(this.#cached.fd);
    this.#cached = undefined;
  }

  /** Opens what is at `path` inside the root; undefined where nothing is. The caller closes it. */
  open(path: string, flags: number, resolve = INSIDE): number | undefined {
    try {
      return localSyscalls().openat2(path, { dirfd: this.#fd, flags, resolve });
    } catch (error) {
      if (errnoOf(error) === ENOENT) return undefined;
      throw error;
    }
  }

  /** The status of `name` in a directory, not followed; undefined where there is none. */
  statusOf(parent: number, name: string): FileStatus | undefined {
    try {
      return localSyscalls().statx(parent, name, AT_SYMLINK_NOFOLLOW);
    } catch (error) {
      if (errnoOf(error) === ENOENT) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.forget();
    localSyscalls().close(this.#fd);
  }

  /**
   * Makes the directories of a path one by one and follows links by itself, since a link may lead
   * to a place that only a lower layer has. `done` is always a path without links.
   */
  #make(path: readonly string[]): number {
    let done: string[] = [];
    const todo = [...path];
    for (let links = 0; todo.length > 0; ) {
      const name = todo.shift()!;
      if (name === '..') done = done.slice(0, -1);
      if (name === '..' || name === '.' || name === '') continue;
      const here = [...done, name];
      const target = this.#linkAt(here);
      if (target === undefined) {
        this.#ensureDirectory(here);
        done = here;
        continue;
      }
      links += 1;
      if (links > MAX_LINKS) throw invalid(path.join('/'), 'too many symbolic links on the way');
      if (target.startsWith('/')) done = [];
      todo.unshift(...target.split('/'));
    }
    return this.open(done.join('/') || '.', O_PATH | O_DIRECTORY, AS_WRITTEN)!;
  }

  /** Where the link at a place leads, be it in this layer or below; undefined if it is no link. */
  #linkAt(path: readonly string[]): string | undefined {
    const own = this.#ownStatus(path);
    if (!own) {
      const below = findBelow(this.#lowers, path);
      return below?.kind === 'symlink' ? below.target : undefined;
    }
    if (!isType(own, S_IFLNK)) return undefined;
    return localSyscalls().readlinkat(this.#fd, path.join('/'));
  }

  /** The status of a path without links; undefined where this layer does not have it. */
  #ownStatus(path: readonly string[]): FileStatus | undefined {
    const parent = this.open(path.slice(0, -1).join('/') || '.', O_PATH | O_DIRECTORY, AS_WRITTEN);
    if (parent === undefined) return undefined;
    try {
      return this.statusOf(parent, path.at(-1)!);
    } finally {
      localSyscalls().close(parent);
    }
  }

  #ensureDirectory(path: readonly string[]): void {
    const sys = localSyscalls();
    const text = path.join('/');
    const own = this.#ownStatus(path);
    if (own && isType(own, S_IFDIR)) return;
    const wasWhiteout = own !== undefined && isWhiteout(own);
    if (own && !wasWhiteout) throw invalid(text, 'is a file, and a later entry is inside it');
    if (wasWhiteout) sys.unlinkat(this.#fd, text);
    sys.mkdirat(this.#fd, text, 0o755);
    const fd = this.open(text, O_RDONLY | O_DIRECTORY, AS_WRITTEN)!;
    try {
      const below = wasWhiteout ? undefined : findBelow(this.#lowers, path);
      const like = below?.kind === 'directory' ? below : { uid: 0, gid: 0, mode: 0o755 };
      sys.fchown(fd, like);
      sys.fchmod(fd, like.mode);
      if (below?.kind === 'directory') this.impliedTimes.set(text, below.mtimeNs);
      if (wasWhiteout) setOpaque(fd);
    } finally {
      sys.close(fd);
    }
  }
}

/** True for the errors that say "this path is not, or no longer, a directory". */
export const isNotThere = (error: unknown): boolean => {
  const errno = errnoOf(error);
  return errno === ENOENT || errno === ENOTDIR || errno === ELOOP;
};
