/**
 * A mount of a container that is only talked of: what would be there.
 *
 *   bind of /bundles/web/rootfs     looked up in that directory, as the kernel would
 *     /proc   procfs                looked up in the /proc of this machine
 *     /dev    tmpfs                 holds what was "made" in it, and nothing else
 *     /dev/pts devpts               holds whatever is asked for
 *
 * Looking is all that is done, and it takes no privilege: where it is forbidden, what is asked for is
 * believed to be there.
 */
import { readlinkSync, realpathSync } from 'node:fs';
import { posix } from 'node:path';
import {
  AT_FDCWD,
  EACCES,
  ENOENT,
  ENOSYS,
  EPERM,
  localSyscalls,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_IN_ROOT,
} from '@strata/namespaces';

/** What forbids to look does not forbid to be there. */
const BELIEVED = new Set([EACCES, EPERM, ENOSYS]);
/** Of processes that there are not, and of ours, which changes from call to call. */
const PROCESS_PATH = /^\/proc\/(\d+|self|thread-self)(\/|$)/;

export interface Place {
  tree: PretendedTree;
  /** From its root; '/' is the root itself. */
  path: string;
}

export class PretendedTree {
  /** The directory of this machine that shows what is in it. */
  readonly source: string | undefined;
  /** Whether it began empty. */
  readonly #isEmpty: boolean;
  readonly #made = new Set<string>();
  /** Below these everything is believed to be there. */
  readonly #believed: string[] = [];
  readonly #mounts = new Map<string, PretendedTree>();

  /** Of a file system that is made anew. */
  readonly type: string | undefined;

  constructor(kind: { source?: string; isEmpty?: boolean; type?: string }) {
    this.source = kind.source;
    this.type = kind.type;
    this.#isEmpty = kind.isEmpty ?? false;
  }

  /** A new mount of a file system. */
  static ofType(type: string): PretendedTree {
    if (type === 'proc') return new PretendedTree({ source: '/proc' });
    if (type === 'sysfs') return new PretendedTree({ source: '/sys' });
    return new PretendedTree({ type, isEmpty: type === 'tmpfs' });
  }

  /** A copy of what is at a place. */
  static copyOf({ tree, path }: Place): PretendedTree {
    if (tree.source === undefined) return new PretendedTree({});
    return new PretendedTree({ source: posix.join(tree.source, path) });
  }

  mount(path: string, tree: PretendedTree): void {
    this.#mounts.set(path, tree);
  }

  make(path: string): void {
    this.#made.add(path);
  }

  believe(directory: string): void {
    this.#believed.push(`${directory}/`);
  }

  /** The place that a path leads to, over the mounts on its way, and the links but a last one. */
  resolve(path: string): Place {
    const straight = posix.join(this.#withoutLinks(posix.dirname(path)), posix.basename(path));
    for (let end = straight; ; end = posix.dirname(end)) {
      const mounted = this.#mounts.get(end);
      if (mounted) return mounted.resolve(`/${posix.relative(end, straight)}`);
      if (end === '/') return { tree: this, path: straight };
    }
  }

  /** A directory's path by its real names, as far as it is really there. */
  #withoutLinks(path: string): string {
    for (let [end, rest] = [path, '']; end !== '/'; ) {
      const fd = this.openReally(end, O_PATH | O_DIRECTORY);
      if (fd !== undefined && fd >= 0) {
        const real = readlinkSync(`/proc/self/fd/${fd}`);
        localSyscalls().close(fd);
        const inside = posix.relative(realpathSync(this.source!), real);
        return inside.startsWith('..') ? path : posix.join('/', inside, rest);
      }
      [end, rest] = [posix.dirname(end), posix.join(posix.basename(end), rest)];
    }
    return path;
  }

  /** Whether a path is of a process: in procfs, but not to be looked at. */
  isOfProcess(path: string): boolean {
    return this.source !== undefined && PROCESS_PATH.test(posix.join(this.source, path));
  }

  /**
   * 0 where something is at a path of this very mount, else an errno, negated.
   * @param flags as the path is opened with
   */
  look(path: string, flags = 0): number {
    if (path === '/' || this.#made.has(path)) return 0;
    if (this.#believed.some((directory) => path.startsWith(directory))) return 0;
    if (this.#isEmpty) return -ENOENT;
    const fd = this.openReally(path, O_PATH | (flags & (O_DIRECTORY | O_NOFOLLOW)));
    if (fd === undefined) return 0;
    if (fd < 0) return BELIEVED.has(-fd) ? 0 : fd;
    localSyscalls().close(fd);
    return 0;
  }

  /**
   * Opens what shows this.
   * @returns a descriptor of ours, or an errno negated; undefined where there is nothing to look at
   */
  openReally(path: string, flags = O_PATH): number | undefined {
    const { source } = this;
    if (source === undefined || this.isOfProcess(path)) return undefined;
    const sys = localSyscalls();
    const root = sys.attempt('openat', AT_FDCWD, source, O_PATH | O_CLOEXEC);
    // What is bound may be a file.
    if (root < 0 || path === '/') return root;
    // struct open_how: flags, mode, resolve
    const how = BigUint64Array.of(BigInt(flags | O_CLOEXEC), 0n, BigInt(RESOLVE_IN_ROOT));
    const fd = sys.attempt('openat2', root, path, new Uint8Array(how.buffer), how.byteLength);
    sys.close(root);
    return fd;
  }
}
