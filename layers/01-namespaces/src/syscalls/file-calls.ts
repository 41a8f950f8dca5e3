/** Files and descriptors: openat2(2) and its neighbours. Paths are always relative to a directory. */
import { EAGAIN, ENODATA, EOPNOTSUPP } from '../errors/errno.ts';
import { Caller, resultOf } from './caller.ts';
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  F_DUPFD_CLOEXEC,
  F_SETFD,
  FD_CLOEXEC,
  O_CLOEXEC,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
} from './constants.ts';
import type { DeferredCall } from './executor.ts';
import { type Arg, type Descriptor, Out } from './memory.ts';

export interface OpenHow {
  /** Where a relative path starts; default: the working directory. */
  dirfd?: Descriptor;
  flags: number;
  mode?: number;
  /** RESOLVE_* bits; zero resolves as open(2) does. */
  resolve?: number;
}

/** Who renames in a loop makes about one attempt in two fail. */
const MAX_OPENINGS = 128;
const OPEN_HOW_BYTES = 24;
const STATX_BYTES = 256;
const XATTR_MAX_BYTES = 65_536;
const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID = 0x1000;

/** The fields of statx(2) that Strata uses. */
export interface FileStatus {
  mode: number;
  uid: number;
  gid: number;
  inode: number;
  size: number;
  links: number;
  rdevMajor: number;
  rdevMinor: number;
  devMajor: number;
  devMinor: number;
  mountId: number;
}

export class FileCalls extends Caller {
  /**
   * Opens a path, close-on-exec. Where it is confined to a directory (RESOLVE_BENEATH,
   * RESOLVE_IN_ROOT) and somebody renames or mounts something meanwhile, the kernel cannot be sure
   * of `..` and says EAGAIN: it is tried again, up to a limit.
   * @throws {SyscallError} EXDEV where the path leads out, ELOOP for a link that is not allowed
   * @see openat2(2)
   */
  openat2(path: string, how: OpenHow): number {
    const args = openArguments(path, how);
    if (!isConfined(how)) return this.call('openat2', ...args);
    return resultOf(this.described('openat2', args), this.#openPatiently(args));
  }

  /** As `openat2`, for a descriptor that only later calls use. @see Caller.later */
  openat2Later(
    path: string,
    how: OpenHow,
    options?: Pick<DeferredCall, 'accepts' | 'recover'>,
  ): Descriptor {
    const args = openArguments(path, how);
    if (!isConfined(how)) return this.later('openat2', args, options);
    const call = this.described('openat2', args, options);
    return this.later('openat2', args, {
      ...options,
      recover: (errno) => resultOf(call, errno === EAGAIN ? this.#openPatiently(args) : -errno),
    });
  }

  #openPatiently(args: readonly Arg[]): number {
    for (let attempts = 1; ; attempts++) {
      const result = this.attempt('openat2', ...args);
      if (result !== -EAGAIN || attempts === MAX_OPENINGS) return result;
    }
  }

  /** @see close(2) */
  close(fd: Descriptor): void {
    this.order('close', fd);
  }

  /** Reads up to `buffer.length` bytes; returns how many, 0 at the end. @see read(2) */
  read(fd: number, buffer: Uint8Array): number {
    return this.call('read', fd, new Out(buffer), buffer.length);
  }

  /** Writes all of `bytes`, in as many calls as it takes. @see write(2) */
  write(fd: number, bytes: Uint8Array | string): void {
    let rest = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
    do {
      const written = this.call('write', fd, rest, rest.length);
      rest = rest.subarray(written);
    } while (rest.length > 0);
  }

  /** @see mkdir(2) */
  mkdirat(dirfd: Descriptor, path: string, mode: number): void {
    this.order('mkdirat', dirfd, path, mode);
  }

  /** @see mknod(2) */
  mknodat(dirfd: number, path: string, mode: number, device: number): void {
    this.call('mknodat', dirfd, path, mode, device);
  }

  /** Makes `path` a symbolic link that holds `target`. @see symlink(2) */
  symlinkat(target: string, dirfd: number, path: string): void {
    this.call('symlinkat', target, dirfd, path);
  }

  /** @see unlink(2) */
  unlinkat(dirfd: number, path: string): void {
    this.call('unlinkat', dirfd, path, 0);
  }

  /** @see rmdir(2) */
  rmdirat(dirfd: number, path: string): void {
    this.call('unlinkat', dirfd, path, AT_REMOVEDIR);
  }

  /** @see chmod(2) */
  fchmod(fd: number, mode: number): void {
    this.order('fchmod', fd, mode);
  }

  /** @see chown(2) */
  fchownat(options: {
    dirfd: Descriptor;
    path: string;
    uid: number;
    gid: number;
    flags?: number;
  }): void {
    const { dirfd, path, uid, gid, flags } = options;
    this.order('fchownat', dirfd, path, uid, gid, flags ?? 0);
  }

  /** @see chown(2) */
  fchown(fd: number, owner: { uid: number; gid: number }): void {
    this.order('fchown', fd, owner.uid, owner.gid);
  }

  /** Changes the mode of a path; a symbolic link at its end is followed. @see chmod(2) */
  fchmodat(dirfd: number, path: string, mode: number): void {
    this.call('fchmodat', dirfd, path, mode);
  }

  /** Gives the file `from` one more name, `to`; a symbolic link is linked itself. @see link(2) */
  linkat(from: { dirfd: number; path: string }, to: { dirfd: number; path: string }): void {
    this.call('linkat', from.dirfd, from.path, to.dirfd, to.path, 0);
  }

  /**
   * Sets the times of last access and modification, in nanoseconds since 1970.
   * @param path relative to `dirfd`; null for the file that `dirfd` itself refers to
   * @see utimensat(2)
   */
  utimensat(dirfd: number, path: string | null, timeNs: bigint, flags = 0): void {
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    const nanoseconds = ((timeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    const seconds = (timeNs - nanoseconds) / 1_000_000_000n;
    for (const at of [0, 16]) {
      view.setBigInt64(at, seconds, true);
      view.setBigInt64(at + 8, nanoseconds, true);
    }
    this.call('utimensat', dirfd, path, bytes, flags);
  }

  /** Sets an extended attribute of an open file. @see setxattr(2) */
  fsetxattr(fd: number, name: string, value: Uint8Array): void {
    this.call('fsetxattr', fd, name, value, value.length, 0);
  }

  /** Sets an extended attribute; a symbolic link gets it itself. @see setxattr(2) */
  lsetxattr(path: string, name: string, value: Uint8Array): void {
    this.call('lsetxattr', path, name, value, value.length, 0);
  }

  /** An extended attribute, or undefined where the file has none of this name. @see getxattr(2) */
  lgetxattr(path: string, name: string): Uint8Array | undefined {
    const bytes = new Uint8Array(XATTR_MAX_BYTES);
    const length = this.attempt('lgetxattr', path, name, new Out(bytes), bytes.length);
    if (length === -ENODATA || length === -EOPNOTSUPP) return undefined;
    if (length < 0) throw this.failure('lgetxattr', -length, [path, name]);
    return bytes.slice(0, length);
  }

  /** Writes all of a file system's changes to its disk. @see sync(2) */
  syncfs(fd: number): void {
    this.call('syncfs', fd);
  }

  /**
   * Takes (LOCK_EX, LOCK_SH) or gives back (LOCK_UN) the advisory lock of an open file; false where
   * LOCK_NB is set and another open file holds it. @see flock(2)
   */
  flock(fd: number, operation: number): boolean {
    const result = this.attempt('flock', fd, operation);
    if (result === -EAGAIN) return false;
    if (result < 0) throw this.failure('flock', -result, [fd, operation]);
    return true;
  }

  /** @see truncate(2) */
  ftruncate(fd: number, bytes: number): void {
    this.order('ftruncate', fd, bytes);
  }

  /** The target of a symbolic link. @see readlink(2) */
  readlinkat(dirfd: number, path: string): string {
    const buffer = new Uint8Array(4096);
    const length = this.call('readlinkat', dirfd, path, new Out(buffer), buffer.length);
    return new TextDecoder().decode(buffer.subarray(0, length));
  }

  /** @see statx(2) */
  statx(dirfd: Descriptor, path: string, flags = 0): FileStatus {
    const status = this.statxLater(dirfd, path, flags);
    this.flush();
    return status();
  }

  /** As `statx`; what it returns may be called once the deferred calls are executed. */
  statxLater(
    dirfd: Descriptor,
    path: string,
    flags = 0,
    options?: Pick<DeferredCall, 'accepts'>,
  ): () => FileStatus {
    const bytes = new Uint8Array(STATX_BYTES);
    const mask = STATX_BASIC_STATS | STATX_MNT_ID;
    this.later('statx', [dirfd, path, flags, mask, new Out(bytes)], options);
    return () => parseStatus(bytes);
  }

  /** The file system's magic number (PROC_SUPER_MAGIC, ...). @see statfs(2) */
  fstatfsType(fd: number): number {
    const bytes = new Uint8Array(120);
    this.call('fstatfs', fd, new Out(bytes));
    return new DataView(bytes.buffer).getUint32(0, true);
  }

  /** Makes `to` a copy of `from`; not close-on-exec unless `flags` says O_CLOEXEC. @see dup(2) */
  dup3(from: number, to: number, flags = 0): void {
    this.order('dup3', from, to, flags);
  }

  /** Duplicates to the lowest free number from `minimum` on, close-on-exec. @see fcntl(2) */
  duplicateFrom(fd: number, minimum: number): number {
    return this.call('fcntl', fd, F_DUPFD_CLOEXEC, minimum);
  }

  setCloseOnExec(fd: number, on: boolean): void {
    this.order('fcntl', fd, F_SETFD, on ? FD_CLOEXEC : 0);
  }

  /** Applies `flags` (or closes) descriptors first..last. @see close_range(2) */
  closeRange(first: number, last: number, flags = 0): void {
    this.order('close_range', first, last, flags);
  }

  /** A pipe, close-on-exec: `[readEnd, writeEnd]`. @see pipe(2) */
  pipe2(flags = 0): [number, number] {
    const ends = this.pipe2Later(flags);
    this.flush();
    return ends();
  }

  /** As `pipe2`; what it returns may be called once the deferred calls are executed. */
  pipe2Later(flags = 0): () => [number, number] {
    const bytes = new Uint8Array(8);
    this.order('pipe2', new Out(bytes), flags | O_CLOEXEC);
    const view = new DataView(bytes.buffer);
    return () => [view.getInt32(0, true), view.getInt32(4, true)];
  }

  /** @see memfd_create(2) */
  memfdCreate(name: string, flags: number): number {
    return this.call('memfd_create', name, flags);
  }

  /** Runs an ioctl whose argument is a plain word. @see ioctl(2) */
  ioctl(fd: number, request: number, arg: number | Out | Uint8Array): number {
    return this.call('ioctl', fd, request, arg);
  }

  /**
   * Waits until `fd` is ready or `timeoutMs` is over (below zero: for ever); returns the POLL* bits.
   * Signals do not make it longer.
   * @see poll(2)
   */
  poll(fd: number, events: number, timeoutMs: number): number {
    return this.pollAll([fd], events, timeoutMs)[0]!;
  }

  /** As `poll`, until one of several is ready; returns the POLL* bits of each. */
  pollAll(fds: readonly number[], events: number, timeoutMs: number): number[] {
    const bytes = new Uint8Array(8 * fds.length);
    const view = new DataView(bytes.buffer);
    for (const [index, fd] of fds.entries()) {
      view.setInt32(8 * index, fd, true);
      view.setInt16(8 * index + 4, events, true);
    }
    const descriptors = new Out(bytes);
    this.callWithin('ppoll', timeoutMs, (leftMs) => [
      descriptors,
      fds.length,
      leftMs < 0 ? null : timespec(leftMs),
      null,
      8,
    ]);
    return fds.map((_, index) => view.getInt16(8 * index + 6, true));
  }
}

const isConfined = ({ resolve = 0 }: OpenHow): boolean =>
  (resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) !== 0;

function openArguments(path: string, how: OpenHow): readonly Arg[] {
  const bytes = new Uint8Array(OPEN_HOW_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, how.flags | O_CLOEXEC, true);
  view.setUint32(8, how.mode ?? 0, true);
  view.setUint32(16, how.resolve ?? 0, true);
  return [how.dirfd ?? AT_FDCWD, path, bytes, OPEN_HOW_BYTES];
}

function parseStatus(bytes: Uint8Array): FileStatus {
  const view = new DataView(bytes.buffer);
  return {
    links: view.getUint32(16, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    mode: view.getUint16(28, true),
    inode: Number(view.getBigUint64(32, true)),
    size: Number(view.getBigUint64(40, true)),
    rdevMajor: view.getUint32(128, true),
    rdevMinor: view.getUint32(132, true),
    devMajor: view.getUint32(136, true),
    devMinor: view.getUint32(140, true),
    mountId: Number(view.getBigUint64(144, true)),
  };
}

/** struct timespec */
function timespec(milliseconds: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, Math.floor(milliseconds / 1000), true);
  view.setInt32(8, Math.floor((milliseconds % 1000) * 1e6), true);
  return bytes;
}
