/**
 * A process that is only talked of: which descriptors it has, and of what.
 *
 * It answers the calls of a recording by what would be there (pretended-tree.ts), so that a rehearsal
 * takes the way that the creation would: a path that is masked has to exist, a link in the image leads
 * somewhere else, a directory that is there is not made.
 */
import { posix } from 'node:path';
import {
  type Arg,
  AT_EMPTY_PATH,
  AT_FDCWD,
  DEVPTS_SUPER_MAGIC,
  type DescriptorTable,
  EACCES,
  EEXIST,
  localSyscalls,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  OPEN_TREE_CLONE,
  Out,
  PROC_SUPER_MAGIC,
  S_IFCHR,
  type SyscallName,
} from '@strata/namespaces';
import { type Place, PretendedTree } from './pretended-tree.ts';

const SLASH = 0x2f;
const PTMX = { major: 5, minor: 2 };

const viewOf = (buffer: Arg | undefined): DataView =>
  new DataView(buffer instanceof Out ? buffer.bytes.buffer : new ArrayBuffer(256));

const textOf = (arg: Arg | undefined): string => {
  if (typeof arg === 'string') return arg;
  return arg instanceof Uint8Array ? Buffer.from(arg).toString().replace(/\0$/, '') : '';
};

export class PretendedProcess {
  /** By descriptor. */
  readonly #places: Map<number, Place>;
  /** Types of file systems that are being configured, by descriptor. */
  readonly #contexts = new Map<number, string>();
  /** Files whose contents were copied, by descriptor. */
  readonly #sent = new Set<number>();
  /** Directories that are being listed: ours by its descriptor. */
  readonly #listings = new Map<number, number>();
  #root: PretendedTree;
  #directory: Place;
  readonly descriptors: DescriptorTable;

  constructor(start: { root: PretendedTree; descriptors: DescriptorTable; of?: PretendedProcess }) {
    this.#root = start.root;
    this.#directory = { tree: start.root, path: '/' };
    this.#places = new Map(start.of ? start.of.#places : []);
    this.descriptors = start.descriptors;
  }

  /** As clone(2) makes it; the mounts that it sees stay the same ones, even in a new namespace. */
  clone(): PretendedProcess {
    return new PretendedProcess({
      root: this.#root,
      descriptors: this.descriptors.copy(),
      of: this,
    });
  }

  /** What the kernel would say, where that depends on what is there. */
  answer(name: SyscallName, args: readonly Arg[]): number | undefined {
    switch (name) {
      case 'openat2':
        return this.#open(args);
      case 'mkdirat':
      case 'mknodat':
        return this.#make(args[0], textOf(args[1]));
      case 'symlinkat':
        return this.#make(args[1], textOf(args[2]));
      case 'statx':
        return this.#status(args);
      case 'fstatfs':
        return this.#fileSystem(args);
      case 'sendfile':
        return this.#send(args);
      case 'readlinkat':
        return this.#readLink(args);
      case 'faccessat2':
        return this.#access(args);
      case 'getdents64':
        return this.#list(args);
      case 'getcwd':
        if (args[0] instanceof Out) args[0].bytes[0] = SLASH;
        return undefined;
      default:
        return undefined;
    }
  }

  /** Takes note of what a call has come to. */
  note(name: SyscallName, args: readonly Arg[], result: number): void {
    if (result < 0) return;
    const [first, second, third] = args;
    if (name === 'openat2') this.#places.set(result, this.#at(first, textOf(second)));
    else if (name === 'open_tree') this.#places.set(result, this.#tree(args));
    else if (name === 'fsopen') this.#contexts.set(result, textOf(first));
    else if (name === 'fsmount') {
      const tree = PretendedTree.ofType(this.#contexts.get(Number(first)) ?? '');
      this.#places.set(result, { tree, path: '/' });
    } else if (name === 'move_mount') this.#attach(Number(first), Number(third));
    else if (name === 'fchdir') this.#directory = this.#at(first, '');
    else if (name === 'chdir') this.#directory = this.#at(AT_FDCWD, textOf(first));
    else if (name === 'pivot_root' || name === 'chroot') this.#root = this.#directory.tree;
    else if (name === 'close') this.#forget(Number(first), Number(first));
    else if (name === 'close_range') this.#forget(Number(first), Number(second));
  }

  #forget(first: number, last: number): void {
    for (const table of [this.#places, this.#contexts]) {
      for (const fd of table.keys()) if (fd >= first && fd <= last) table.delete(fd);
    }
    for (const [fd, real] of this.#listings) {
      if (fd < first || fd > last) continue;
      localSyscalls().close(real);
      this.#listings.delete(fd);
    }
  }

  /** Closes what was opened to look at it. */
  end(): void {
    this.#forget(0, Number.POSITIVE_INFINITY);
  }

  /** Where a path leads to: from a descriptor even if it begins with a slash, as with RESOLVE_IN_ROOT. */
  #at(dirfd: Arg | undefined, path: string): Place {
    if (dirfd === AT_FDCWD && path.startsWith('/'))
      return this.#root.resolve(posix.resolve('/', path));
    const from = dirfd === AT_FDCWD ? this.#directory : this.#places.get(Number(dirfd));
    // Of a process's descriptors that were not opened here, as its mailbox.
    if (!from) return { tree: new PretendedTree({}), path: '/' };
    return from.tree.resolve(posix.resolve('/', posix.join(from.path, path)));
  }

  #open([dirfd, name, how]: readonly Arg[]): number | undefined {
    const { tree, path } = this.#at(dirfd, textOf(name));
    const flags = how instanceof Uint8Array ? new DataView(how.buffer).getUint32(0, true) : 0;
    if ((flags & O_CREAT) !== 0) {
      tree.make(path);
      return undefined;
    }
    const errno = tree.look(path, flags);
    return errno === 0 ? undefined : errno;
  }

  #make(dirfd: Arg | undefined, name: string): number {
    const { tree, path } = this.#at(dirfd, name);
    if (tree.look(path, O_NOFOLLOW) === 0) return -EEXIST;
    tree.make(path);
    return 0;
  }

  #tree([dirfd, name, flags]: readonly Arg[]): Place {
    const place = this.#at(dirfd, textOf(name));
    if ((Number(flags) & OPEN_TREE_CLONE) === 0) return place;
    return { tree: PretendedTree.copyOf(place), path: '/' };
  }

  #attach(fd: number, target: number): void {
    const [moved, place] = [this.#places.get(fd), this.#places.get(target)];
    if (moved && place) place.tree.mount(place.path, moved.tree);
  }

  /** Calls with a descriptor of ours; undefined where there is nothing to look at. */
  #withReal(
    dirfd: Arg | undefined,
    name: string,
    look: (fd: number) => number,
  ): number | undefined {
    const { tree, path } = this.#at(dirfd, name);
    const fd = tree.openReally(path);
    if (fd === undefined || fd < 0) return undefined;
    try {
      return look(fd);
    } finally {
      localSyscalls().close(fd);
    }
  }

  #status([dirfd, name, , mask, buffer]: readonly Arg[]): number | undefined {
    const { tree, path } = this.#at(dirfd, textOf(name));
    if (tree.type === 'devpts' && path !== '/') {
      const view = viewOf(buffer);
      view.setUint16(28, S_IFCHR | 0o620, true);
      view.setUint32(128, PTMX.major, true);
      view.setUint32(132, PTMX.minor, true);
    }
    return this.#withReal(dirfd, textOf(name), (fd) =>
      localSyscalls().attempt('statx', fd, '', AT_EMPTY_PATH, mask!, buffer!),
    );
  }

  #fileSystem([fd, buffer]: readonly Arg[]): number | undefined {
    const { tree, path } = this.#at(fd, '');
    if (tree.type === 'devpts') viewOf(buffer).setUint32(0, DEVPTS_SUPER_MAGIC, true);
    if (tree.isOfProcess(path)) viewOf(buffer).setUint32(0, PROC_SUPER_MAGIC, true);
    return this.#withReal(fd, '', (real) => localSyscalls().attempt('fstatfs', real, buffer!));
  }

  /** All of a file at once, and then nothing. */
  #send([, from, , count]: readonly Arg[]): number | undefined {
    const fd = Number(from);
    if (this.#sent.delete(fd)) return 0;
    const size = this.#withReal(fd, '', (real) =>
      Number(localSyscalls().statx(real, '', AT_EMPTY_PATH).size),
    );
    if (size) this.#sent.add(fd);
    return size && Math.min(size, Number(count));
  }

  #readLink([dirfd, name, buffer, size]: readonly Arg[]): number | undefined {
    const path = textOf(name);
    return this.#withReal(dirfd, posix.dirname(path), (fd) =>
      localSyscalls().attempt('readlinkat', fd, posix.basename(path), buffer!, size!),
    );
  }

  #access([dirfd, name]: readonly Arg[]): number | undefined {
    const { tree, path } = this.#at(dirfd, textOf(name));
    const errno = tree.look(path);
    if (errno !== 0) return errno;
    const mode = this.#withReal(
      dirfd,
      textOf(name),
      (fd) => localSyscalls().statx(fd, '', AT_EMPTY_PATH).mode,
    );
    return mode !== undefined && (mode & 0o111) === 0 ? -EACCES : 0;
  }

  #list([dirfd, buffer, size]: readonly Arg[]): number | undefined {
    const number = Number(dirfd);
    if (!this.#listings.has(number)) {
      const { tree, path } = this.#at(dirfd, '');
      const real = tree.openReally(path === '/' ? '.' : path, O_RDONLY | O_DIRECTORY);
      if (real === undefined || real < 0) return undefined;
      this.#listings.set(number, real);
    }
    return localSyscalls().attempt('getdents64', this.#listings.get(number)!, buffer!, size!);
  }
}
