/**
 * Paths below a directory that somebody else fills, resolved by the kernel and never as strings.
 *
 *   using root = RootDirectory.at('/srv/volume');
 *   root.open('/etc/passwd')            // below /srv/volume, whatever links are on the way
 *   root.makeDirectory('/var/lib/new')  // parents and all
 *
 * An image decides what is in a container's root: any component may be a symbolic link to /etc on
 * the host, and a running neighbour that shares a volume may swap one while we look. So every path is
 * opened with openat2(2), confined to the directory's descriptor, and what was opened is what is
 * used: there is no moment between a check and its use (CVE-2019-19921, CVE-2021-30465,
 * CVE-2025-31133 are all of that kind). What is missing is made name by name, each beneath the
 * descriptor of its parent.
 *
 *   in root   (default)  absolute links and `..` stay inside, as after chroot(2)
 *   beneath              what would lead out is refused with EXDEV
 *
 * Magic links (/proc/PID/fd, exe, root, ...) are refused either way.
 *
 * Called by layer 02 for all that is mounted or made in a container.
 *
 * @see openat2(2)
 */
import { EEXIST, EINVAL, ELOOP, ENOENT, ENOTDIR, EXDEV } from '../errors/errno.ts';
import { SyscallError } from '../errors/syscall-error.ts';
import {
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  S_IFREG,
} from '../syscalls/constants.ts';
import type { Descriptor } from '../syscalls/memory.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';

/** As many links as the kernel follows in one path. @see path_resolution(7) */
const LINK_LIMIT = 40;
const DIRECTORY_MODE = 0o755;
/** At a name that somebody else makes and removes all the time. */
const MAX_ATTEMPTS = 128;

export interface RootDirectoryOptions {
  /** Refuse a path that leads out, instead of keeping it inside. */
  beneath?: boolean;
  /** Refuse symbolic links of any kind; a text says why, in the error. */
  noSymlinks?: boolean | string;
  /** Refuse to go from one mount to another. */
  oneMount?: boolean;
}

export class RootDirectory implements Disposable {
  readonly #sys: Syscalls;
  readonly #resolve: number;
  readonly #noSymlinks: string;
  #isOurs = false;
  /** The directory, in the process that `sys` executes in. */
  readonly fd: Descriptor;

  /** @param fd stays the caller's to close */
  constructor(sys: Syscalls, fd: Descriptor, options: RootDirectoryOptions = {}) {
    this.#sys = sys;
    this.fd = fd;
    const { noSymlinks } = options;
    this.#noSymlinks =
      typeof noSymlinks === 'string' ? noSymlinks : 'a symbolic link is not allowed';
    this.#resolve =
      RESOLVE_NO_MAGICLINKS |
      (options.beneath ? RESOLVE_BENEATH : RESOLVE_IN_ROOT) |
      (noSymlinks ? RESOLVE_NO_SYMLINKS : 0) |
      (options.oneMount ? RESOLVE_NO_XDEV : 0);
  }

  /**
   * Opens a directory by its path, to be disposed of. The path itself is trusted.
   * @throws {SyscallError} ENOENT, ENOTDIR
   */
  static at(path: string, options: RootDirectoryOptions & { sys?: Syscalls } = {}): RootDirectory {
    const sys = options.sys ?? localSyscalls();
    const fd = sys.openat2(path, { flags: O_PATH | O_DIRECTORY });
    const root = new RootDirectory(sys, fd, options);
    root.#isOurs = true;
    return root;
  }

  /** Closes the directory where `at` has opened it. */
  [Symbol.dispose](): void {
    if (this.#isOurs) this.#sys.close(this.fd);
    this.#isOurs = false;
  }

  /**
   * Opens a path inside.
   * @throws {SyscallError} ENOENT; ELOOP for a magic link, too many links, or one that is not allowed;
   *   EXDEV for a path that leads out or to another mount; EAGAIN where somebody renames without end
   */
  open(path: string, flags = O_PATH): number {
    return this.#sys.openat2(path, this.#how(flags));
  }

  /** As `open`, undefined where nothing is there. */
  openIfThere(path: string, flags = O_PATH): number | undefined {
    // What failed before is not for us to overlook.
    this.#sys.flush();
    try {
      return this.open(path, flags);
    } catch (error) {
      if (error instanceof SyscallError && error.errno === ENOENT) return undefined;
      throw error;
    }
  }

  /** Opens each path that can be opened; of the others the errno, negated. */
  openAll(paths: readonly string[], flags: number): Descriptor[] {
    const how = this.#how(flags);
    // Not `accepts: 'any'`, which would take EAGAIN for an answer.
    const options = { accepts: [], recover: (errno: number) => -errno };
    return paths.map((path) => this.#sys.openat2Later(path, how, options));
  }

  /**
   * Opens a directory, creating it and its parents (0755, less the umask) where they are missing.
   *
   * Nearly always its parent is there; so it is made there without a look, which fails where it is,
   * and opened, all in one program. Whatever else is the case is found out by going down step by step.
   *
   * @throws {SyscallError} as `open`; ENOTDIR where something else is in the way; EROFS, EACCES
   */
  makeDirectory(path: string): Descriptor {
    return this.#inParent(path, (parent, name) => {
      if (name !== undefined) {
        this.#sys.later('mkdirat', [parent, name, DIRECTORY_MODE], { accepts: 'any' });
      }
      return this.#openDirectory(path);
    });
  }

  /**
   * Opens a file to mount on, creating an empty one (0644, less the umask) and its parents where they
   * are missing. What is there already may be of any type.
   *
   * @throws {SyscallError} as `makeDirectory`; ELOOP for a link at the end that leads nowhere
   */
  makeFile(path: string): Descriptor {
    return this.#inParent(path, (parent, name) => {
      if (name !== undefined) {
        this.#sys.later('mknodat', [parent, name, S_IFREG | 0o644, 0], { accepts: 'any' });
      }
      return this.#sys.openat2Later(path, this.#how(O_PATH), {
        recover: (errno) => {
          if (errno !== ENOENT) throw this.#failure(errno, path);
          return this.#sys.settle(this.#createFile(path));
        },
      });
    });
  }

  #how(flags: number): { dirfd: Descriptor; flags: number; resolve: number } {
    return { dirfd: this.fd, flags, resolve: this.#resolve };
  }

  /** Calls with the directory that a path ends in, made where it is missing, and the name there. */
  #inParent(
    path: string,
    action: (parent: Descriptor, name: string | undefined) => Descriptor,
  ): Descriptor {
    const trimmed = path.replace(/\/+$/, '');
    const slash = trimmed.lastIndexOf('/');
    const name = trimmed.slice(slash + 1);
    if (name === '' || name === '.' || name === '..') return action(this.fd, undefined);
    if (slash <= 0) return action(this.fd, name);
    const parent = this.#openDirectory(trimmed.slice(0, slash));
    try {
      const result = action(parent, name);
      if (typeof parent !== 'number') this.#sys.close(parent);
      return result;
    } finally {
      // One that is still to be opened when something fails never will be.
      if (typeof parent === 'number') this.#sys.close(parent);
    }
  }

  #openDirectory(path: string): Descriptor {
    return this.#sys.openat2Later(path, this.#how(O_PATH | O_DIRECTORY), {
      recover: (errno) => {
        if (errno !== ENOENT) throw this.#failure(errno, path);
        return this.#walk(path);
      },
    });
  }

  /** A link at the end of the path that leads nowhere is refused, not followed. */
  #createFile(path: string): Descriptor {
    return this.#inParent(path, (parent, name) => {
      if (name === undefined) throw this.#sys.failure('openat2', ENOENT, [path]);
      // Not O_CREAT: what somebody has put there meanwhile would be opened, and a FIFO waits.
      const node = [parent, name, S_IFREG | 0o644, 0];
      this.#sys.later('mknodat', node, { accepts: [EEXIST] });
      const resolve = RESOLVE_NO_SYMLINKS | (this.#resolve & RESOLVE_NO_XDEV);
      return this.#sys.openat2Later(name, { dirfd: parent, flags: O_PATH, resolve });
    });
  }

  /**
   * Goes down name by name, making what is missing and following links inside, as the kernel would:
   * `..` leads to the directory that the way came through, and stops at the root.
   */
  #walk(path: string): number {
    // The way down from the root, each opened beneath the one before it.
    const way = [this.#sys.openat2('.', this.#how(O_PATH | O_DIRECTORY))];
    const rest = path.split('/').reverse();
    let linksLeft = LINK_LIMIT;
    try {
      for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
        if (name === '' || name === '.') continue;
        if (name === '..') {
          this.#up(way, path);
          continue;
        }
        const parent = way.at(-1)!;
        const next = this.#childDirectory(parent, name);
        if (next !== undefined) {
          way.push(next);
          continue;
        }
        if (linksLeft-- === 0) throw this.#refused(ELOOP, 'too many symbolic links', path);
        const target = this.#linkTarget(parent, name, path);
        if (target.startsWith('/')) this.#backToRoot(way, path);
        rest.push(...target.split('/').reverse());
      }
      return way.pop()!;
    } finally {
      for (const fd of way) this.#sys.close(fd);
    }
  }

  #up(way: number[], path: string): void {
    if (way.length > 1) this.#sys.close(way.pop()!);
    else if ((this.#resolve & RESOLVE_BENEATH) !== 0) throw this.#leadsOut(path);
  }

  #backToRoot(way: number[], path: string): void {
    if ((this.#resolve & RESOLVE_BENEATH) !== 0) throw this.#leadsOut(path);
    for (const fd of way.splice(1)) this.#sys.close(fd);
  }

  /** Opens or makes a directory by its name alone; undefined where the name is something else. */
  #childDirectory(parent: number, name: string): number | undefined {
    const flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
    const resolve = this.#resolve & RESOLVE_NO_XDEV;
    for (let attempts = 1; ; attempts++) {
      try {
        return this.#sys.openat2(name, { dirfd: parent, flags, resolve });
      } catch (error) {
        if (!(error instanceof SyscallError)) throw error;
        // With O_NOFOLLOW and O_DIRECTORY a link is refused with ENOTDIR (open(2)) or ELOOP.
        if (error.errno === ENOTDIR || error.errno === ELOOP) return undefined;
        if (error.errno !== ENOENT || attempts === MAX_ATTEMPTS) throw error;
      }
      const made = this.#sys.attempt('mkdirat', parent, name, DIRECTORY_MODE);
      // EEXIST: somebody else was faster; look again at what it is.
      if (made < 0 && made !== -EEXIST) throw this.#sys.failure('mkdirat', -made, [parent, name]);
    }
  }

  #linkTarget(parent: number, name: string, path: string): string {
    if ((this.#resolve & RESOLVE_NO_SYMLINKS) !== 0) {
      throw this.#refused(ELOOP, this.#noSymlinks, path);
    }
    let target: string;
    try {
      target = this.#sys.readlinkat(parent, name);
    } catch (error) {
      if (!(error instanceof SyscallError) || error.errno !== EINVAL) throw error;
      throw this.#refused(ENOTDIR, `${name} is not a directory`, path);
    }
    if (this.#isEndless(parent, name)) {
      throw this.#refused(ELOOP, `${name} is a magic link or leads in a circle`, path);
    }
    return target;
  }

  /** A magic link's text leads elsewhere than the link does; of others only a circle gives ELOOP. */
  #isEndless(parent: number, name: string): boolean {
    const resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT;
    try {
      this.#sys.close(this.#sys.openat2(name, { dirfd: parent, flags: O_PATH, resolve }));
      return false;
    } catch (error) {
      // Confined to its own directory, an ordinary link mostly leads nowhere.
      return error instanceof SyscallError && error.errno === ELOOP;
    }
  }

  #leadsOut(path: string): SyscallError {
    return this.#refused(EXDEV, 'the path leads out of its directory', path);
  }

  #failure(errno: number, path: string): SyscallError {
    const isLink = errno === ELOOP && (this.#resolve & RESOLVE_NO_SYMLINKS) !== 0;
    return isLink
      ? this.#refused(errno, this.#noSymlinks, path)
      : this.#sys.failure('openat2', errno, [path]);
  }

  /** What the kernel would say, had it gone the way in one call. */
  #refused(errno: number, hint: string, path: string): SyscallError {
    const { step } = this.#sys;
    return new SyscallError('openat2', errno, [JSON.stringify(path)], { step, path, hint });
  }
}
