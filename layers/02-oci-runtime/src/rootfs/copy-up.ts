/**
 * tmpcopyup: a new tmpfs begins with what the image has at its place.
 *
 * The image decides what is there, and a neighbour that shares the root file system may change it
 * while we look. So each entry is opened by its name alone beneath the descriptor of its directory, no
 * link is followed, no mount is entered, and what was opened is what is copied. Names are bytes: an
 * image need not be in UTF-8.
 *
 * Copied are directories, files, links, devices, FIFOs and sockets with their owner, mode, times and
 * extended attributes; two names of one file become two files. An owner that the user namespace does not have
 * becomes its root, and so does what only a real root may make (devices) stay away.
 *
 * @see runtime-spec config.md#linux-mount-options, tmpcopyup
 */
import {
  AT_EMPTY_PATH,
  AT_SYMLINK_NOFOLLOW,
  EINVAL,
  ENODATA,
  ENOENT,
  EOPNOTSUPP,
  EPERM,
  EXDEV,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  Out,
  RESOLVE_BENEATH,
  RESOLVE_NO_XDEV,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  type Syscalls,
} from '@strata/namespaces';
import { makeDevice } from './devices.ts';

/** A name as the kernel has it, with the NUL at its end. */
type Name = Uint8Array;

const HERE: Name = Uint8Array.of(0x2e, 0);
/** With AT_EMPTY_PATH. */
const ITSELF: Name = Uint8Array.of(0);
const LISTING_BYTES = 32_768;
const STATX_BYTES = 256;
const STATX_BASIC_STATS = 0x7ff;
/** What sendfile(2) moves in one call; that is interrupted by no signal, so a stub copies at most this. */
const CHUNK_BYTES = 1 << 24;
const XATTR_BYTES = 65_536;
const UNSUPPORTED = new Set([-EPERM, -EOPNOTSUPP, -ENODATA]);

interface Entry {
  mode: number;
  uid: number;
  gid: number;
  device: number;
  /** Access and modification as utimensat(2) takes them. */
  times: Uint8Array;
}

/**
 * Copies the contents of a directory to an empty one.
 * @param from any descriptor of the directory, in the process that executes `sys`
 * @throws {SyscallError} ENOSPC where the tmpfs is too small, EMFILE where directories are nested
 *   deeper than the process may have files open
 */
export function copyUp(sys: Syscalls, from: number, to: number): void {
  const source = open(sys, from, HERE, O_RDONLY | O_DIRECTORY);
  const target = open(sys, to, HERE, O_RDONLY | O_DIRECTORY);
  try {
    copyContents(sys, source, target);
  } finally {
    sys.close(source);
    sys.close(target);
  }
}

function copyContents(sys: Syscalls, from: number, to: number): void {
  for (const name of namesIn(sys, from)) copyEntry(sys, name, { from, to });
}

function copyEntry(sys: Syscalls, name: Name, dirs: { from: number; to: number }): void {
  const { from, to } = dirs;
  const entry = status(sys, from, name, AT_SYMLINK_NOFOLLOW);
  if (entry === undefined) return;
  const type = entry.mode & S_IFMT;
  if (type === S_IFDIR) {
    copySubdirectory(sys, name, dirs);
  } else if (type === S_IFREG) {
    copyFile(sys, name, dirs);
  } else if (type === S_IFLNK) {
    const target = new Uint8Array(4097);
    const length = sys.call('readlinkat', from, name, new Out(target), target.length - 1);
    sys.call('symlinkat', target.subarray(0, length + 1), to, name);
    own(sys, { dirfd: to, name, flags: AT_SYMLINK_NOFOLLOW }, entry);
  } else {
    const made = sys.attempt('mknodat', to, name, entry.mode, entry.device);
    if (made === -EPERM) return;
    if (made < 0) throw sys.failure('mknodat', -made, [to, name, entry.mode, entry.device]);
    own(sys, { dirfd: to, name, flags: AT_SYMLINK_NOFOLLOW }, entry);
    // Not a link: it has been made a moment ago, in a tmpfs that nobody else can reach.
    sys.call('fchmodat', to, name, entry.mode & 0o7777);
    sys.call('utimensat', to, name, entry.times, AT_SYMLINK_NOFOLLOW);
  }
}

function copySubdirectory(sys: Syscalls, name: Name, dirs: { from: number; to: number }): void {
  sys.call('mkdirat', dirs.to, name, 0o700);
  const from = openHere(sys, dirs.from, name, O_RDONLY | O_DIRECTORY);
  // What is mounted there is not the image's.
  if (from === undefined) return;
  try {
    const to = open(sys, dirs.to, name, O_RDONLY | O_DIRECTORY);
    try {
      copyContents(sys, from, to);
      copyAttributes(sys, from, to);
      describe(sys, to, statusOf(sys, from));
    } finally {
      sys.close(to);
    }
  } finally {
    sys.close(from);
  }
}

function copyFile(sys: Syscalls, name: Name, dirs: { from: number; to: number }): void {
  const from = openHere(sys, dirs.from, name, O_RDONLY | O_NONBLOCK);
  if (from === undefined) return;
  try {
    const entry = statusOf(sys, from);
    // It may have become something else since it was looked at.
    if ((entry.mode & S_IFMT) !== S_IFREG) return;
    const to = open(sys, dirs.to, name, O_WRONLY | O_CREAT | O_EXCL, 0o600);
    try {
      while (sys.call('sendfile', to, from, null, CHUNK_BYTES) > 0);
      // Before it: a change of owner takes capabilities away.
      own(sys, { dirfd: to, name: ITSELF, flags: AT_EMPTY_PATH }, entry);
      copyAttributes(sys, from, to);
      describe(sys, to, entry);
    } finally {
      sys.close(to);
    }
  } finally {
    sys.close(from);
  }
}

/** Gives an open file owner, mode and times; the owner first, for that clears set-user-id. */
function describe(sys: Syscalls, fd: number, entry: Entry): void {
  own(sys, { dirfd: fd, name: ITSELF, flags: AT_EMPTY_PATH }, entry);
  sys.fchmod(fd, entry.mode & 0o7777);
  sys.call('utimensat', fd, null, entry.times, 0);
}

function own(
  sys: Syscalls,
  file: { dirfd: number; name: Name; flags: number },
  { uid, gid }: Entry,
): void {
  if (uid === 0 && gid === 0) return;
  const args = [file.dirfd, file.name, uid, gid, file.flags];
  const result = sys.attempt('fchownat', ...args);
  // An id that the user namespace does not have.
  if (result < 0 && result !== -EINVAL) throw sys.failure('fchownat', -result, args);
}

function copyAttributes(sys: Syscalls, from: number, to: number): void {
  const list = new Uint8Array(XATTR_BYTES);
  const length = sys.attempt('flistxattr', from, new Out(list), list.length);
  for (let start = 0; start < length; ) {
    const end = list.indexOf(0, start) + 1;
    const name = list.subarray(start, end);
    start = end;
    const value = new Uint8Array(XATTR_BYTES);
    const size = sys.attempt('fgetxattr', from, name, new Out(value), value.length);
    if (size < 0) continue;
    const set = sys.attempt('fsetxattr', to, name, value.subarray(0, size), size, 0);
    if (set < 0 && !UNSUPPORTED.has(set)) throw sys.failure('fsetxattr', -set, [to, name]);
  }
}

/** The names in a directory but `.` and `..`. @see getdents64(2) */
function namesIn(sys: Syscalls, directory: number): Name[] {
  const names: Name[] = [];
  for (;;) {
    const bytes = new Uint8Array(LISTING_BYTES);
    const length = sys.call('getdents64', directory, new Out(bytes), bytes.length);
    if (length === 0) return names;
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
      const name = bytes.subarray(at + 19, bytes.indexOf(0, at + 19) + 1);
      if (!isDots(name)) names.push(name);
    }
  }
}

const isDots = (name: Name): boolean =>
  name[0] === 0x2e && (name[1] === 0 || (name[1] === 0x2e && name[2] === 0));

/** Of an open file. */
const statusOf = (sys: Syscalls, fd: number): Entry => status(sys, fd, ITSELF, AT_EMPTY_PATH)!;

/** Undefined where it has gone meanwhile. */
function status(sys: Syscalls, dirfd: number, name: Name, flags: number): Entry | undefined {
  const bytes = new Uint8Array(STATX_BYTES);
  const args = [dirfd, name, flags, STATX_BASIC_STATS, new Out(bytes)];
  const result = sys.attempt('statx', ...args);
  if (result === -ENOENT) return undefined;
  if (result < 0) throw sys.failure('statx', -result, args);
  const view = new DataView(bytes.buffer);
  const [major, minor] = [view.getUint32(128, true), view.getUint32(132, true)];
  const times = new Uint8Array(32);
  const words = new DataView(times.buffer);
  for (const [index, at] of [64, 112].entries()) {
    words.setBigInt64(16 * index, view.getBigInt64(at, true), true);
    words.setBigInt64(16 * index + 8, BigInt(view.getUint32(at + 8, true)), true);
  }
  return {
    mode: view.getUint16(28, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    device: makeDevice(major, minor),
    times,
  };
}

function open(sys: Syscalls, dirfd: number, name: Name, flags: number, mode = 0): number {
  const fd = openHere(sys, dirfd, name, flags, mode);
  if (fd === undefined) throw sys.failure('openat2', EXDEV, [dirfd, name]);
  return fd;
}

/** Opens a name; undefined where something is mounted there, or it has gone. @see openat2(2) */
function openHere(
  sys: Syscalls,
  dirfd: number,
  name: Name,
  flags: number,
  mode = 0,
): number | undefined {
  const how = new Uint8Array(24);
  const view = new DataView(how.buffer);
  view.setUint32(0, flags | O_NOFOLLOW | O_CLOEXEC, true);
  view.setUint32(8, mode, true);
  view.setUint32(16, RESOLVE_BENEATH | RESOLVE_NO_XDEV, true);
  const args = [dirfd, name, how, how.length];
  const fd = sys.attempt('openat2', ...args);
  if (fd === -EXDEV || fd === -ENOENT) return undefined;
  if (fd < 0) throw sys.failure('openat2', -fd, args);
  return fd;
}
