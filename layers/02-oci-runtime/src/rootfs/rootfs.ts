/**
 * Paths inside a container's root, resolved by the kernel and never as strings.
 *
 * The image decides what is in the root: any component may be a symbolic link to /etc on the host,
 * and a running neighbour that shares a volume may swap one while we look. So every path is opened
 * with openat2(RESOLVE_IN_ROOT) relative to the root's descriptor: absolute links and `..` stay
 * inside, magic links are refused, and what was opened is what is mounted on (CVE-2019-19921,
 * CVE-2021-30465, CVE-2025-31133 are all of the kind check-then-use-the-path).
 *
 * @see openat2(2)
 */
import {
  type Descriptor,
  EEXIST,
  ELOOP,
  ENOENT,
  ENOTDIR,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFREG,
  StrataError,
  SyscallError,
  type Syscalls,
} from '@strata/namespaces';

const INSIDE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
/** As many links as the kernel follows in one path. @see path_resolution(7) */
const LINK_LIMIT = 40;

export class Rootfs {
  readonly #sys: Syscalls;
  /** The root directory, in the process that `sys` executes in. */
  readonly fd: Descriptor;

  constructor(sys: Syscalls, fd: Descriptor) {
    this.#sys = sys;
    this.fd = fd;
  }

  /** Opens a path inside. @throws {SyscallError} ENOENT, ELOOP, ... */
  open(path: string, flags = O_PATH): number {
    return this.#sys.openat2(path, { dirfd: this.fd, flags, resolve: INSIDE });
  }

  /** As `open`, undefined where nothing is there. */
  openIfThere(path: string, flags = O_PATH): number | undefined {
    try {
      return this.open(path, flags);
    } catch (error) {
      if (error instanceof SyscallError && error.errno === ENOENT) return undefined;
      throw error;
    }
  }

  /** Opens each path that can be opened; of the others the errno, negated. */
  openAll(paths: readonly string[], flags: number): Descriptor[] {
    const how = { dirfd: this.fd, flags, resolve: INSIDE };
    return paths.map((path) => this.#sys.openat2Later(path, how, { accepts: 'any' }));
  }

  /**
   * Opens a directory, creating it and its parents (0755) where they are missing.
   *
   * Nearly always its parent is there; so it is made there without a look, which fails where it is,
   * and opened, all in one program. Whatever else is the case is found out by going down step by step.
   */
  makeDirectory(path: string): Descriptor {
    const { parent, name } = this.#parentOf(path);
    if (name !== undefined) {
      this.#sys.later('mkdirat', [parent, name, 0o755], { accepts: 'any' });
    }
    return this.#openDirectory(path);
  }

  /** Opens a file to mount on, creating an empty one and its parents where they are missing. */
  makeFile(path: string): Descriptor {
    const { parent, name } = this.#parentOf(path);
    if (name !== undefined) {
      this.#sys.later('mknodat', [parent, name, S_IFREG | 0o644, 0], { accepts: 'any' });
    }
    const how = { dirfd: this.fd, flags: O_PATH, resolve: INSIDE };
    return this.#sys.openat2Later(path, how, {
      recover: (errno) => {
        if (errno !== ENOENT) throw this.#sys.failure('openat2', errno, [path]);
        return this.#sys.settle(this.#createFile(path));
      },
    });
  }

  /** The directory that a path ends in, made where it is missing, and the name there. */
  #parentOf(path: string): { parent: Descriptor; name?: string } {
    const trimmed = path.replace(/\/+$/, '');
    const slash = trimmed.lastIndexOf('/');
    const name = trimmed.slice(slash + 1);
    if (name === '' || name === '.' || name === '..') return { parent: this.fd };
    const parent = slash <= 0 ? this.fd : this.#openDirectory(trimmed.slice(0, slash));
    return { parent, name };
  }

  #openDirectory(path: string): Descriptor {
    const how = { dirfd: this.fd, flags: O_PATH | O_DIRECTORY, resolve: INSIDE };
    return this.#sys.openat2Later(path, how, {
      recover: (errno) => {
        if (errno !== ENOENT) throw this.#sys.failure('openat2', errno, [path]);
        return this.#walk(path, { linksLeft: LINK_LIMIT });
      },
    });
  }

  /** A link at the end of the path that leads nowhere is refused, not followed. */
  #createFile(path: string): Descriptor {
    const { parent, name } = this.#parentOf(path);
    if (name === undefined) throw this.#sys.failure('openat2', ENOENT, [path]);
    const flags = O_CREAT | O_NOFOLLOW | O_RDONLY;
    const how = { dirfd: parent, flags, mode: 0o644, resolve: INSIDE };
    this.#sys.close(this.#sys.openat2Later(name, how));
    return this.#sys.openat2Later(name, { dirfd: parent, flags: O_PATH | O_NOFOLLOW });
  }

  /** Goes down component by component, making what is missing and following links inside. */
  #walk(path: string, budget: { linksLeft: number }): number {
    let current = this.open('/', O_PATH | O_DIRECTORY);
    let walked = '';
    for (const name of components(path)) {
      const next =
        this.#childDirectory(current, name) ??
        this.#linked(current, { name, prefix: walked, budget });
      this.#sys.close(current);
      current = next;
      walked = `${walked}/${name}`;
    }
    return current;
  }

  /** Opens or makes a directory by its name alone; undefined where the name is a link. */
  #childDirectory(parent: number, name: string): number | undefined {
    const flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
    for (;;) {
      try {
        return this.#sys.openat2(name, { dirfd: parent, flags });
      } catch (error) {
        if (!(error instanceof SyscallError)) throw error;
        // With O_NOFOLLOW and O_DIRECTORY a link is refused with ENOTDIR (open(2)) or ELOOP.
        if (error.errno === ENOTDIR || error.errno === ELOOP) return undefined;
        if (error.errno !== ENOENT) throw error;
      }
      const made = this.#sys.attempt('mkdirat', parent, name, 0o755);
      // EEXIST: somebody else was faster; look again at what it is.
      if (made < 0 && made !== -EEXIST) throw this.#sys.failure('mkdirat', -made, [parent, name]);
    }
  }

  /** Follows a link inside the root; makes what a dangling one points to. */
  #linked(
    parent: number,
    link: { name: string; prefix: string; budget: { linksLeft: number } },
  ): number {
    const { name, prefix, budget } = link;
    const path = `${prefix}/${name}`;
    const there = this.openIfThere(path, O_PATH | O_DIRECTORY);
    if (there !== undefined) return there;
    if (budget.linksLeft-- === 0) {
      throw new StrataError('ELOOP', `too many symbolic links below ${path}`, { path });
    }
    const target = this.#sys.readlinkat(parent, name);
    return this.#walk(target.startsWith('/') ? target : `${prefix}/${target}`, budget);
  }
}

/** The components of a path, with `.` gone and `..` taken back, never above the root. */
function components(path: string): string[] {
  const result: string[] = [];
  for (const name of path.split('/')) {
    if (name === '..') result.pop();
    else if (name !== '' && name !== '.') result.push(name);
  }
  return result;
}
