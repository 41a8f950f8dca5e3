/**
 * Pseudoterminals: two descriptors of which one looks like a terminal.
 *
 *   master ◀──▶ whoever is in place of the screen and the keyboard
 *   slave  ◀──▶ the program: its standard streams and controlling terminal
 *
 * Each devpts file system has pairs and numbers of its own. The slave is opened from the master
 * (TIOCGPTPEER, Linux 4.13), not by the name /dev/pts/N: in a container the image could have swapped
 * that (CVE-2025-52565), and in another mount namespace the name means another terminal.
 *
 * @see pty(7), ioctl_tty(2)
 */
import { EINVAL, ENOTTY } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import {
  AT_EMPTY_PATH,
  DEVPTS_SUPER_MAGIC,
  O_CLOEXEC,
  O_NOCTTY,
  O_RDWR,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  S_IFCHR,
  S_IFMT,
  TIOCGPTN,
  TIOCGPTPEER,
  TIOCSCTTY,
  TIOCSPTLCK,
} from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import { setWindowSize, type WindowSize } from './window-size.ts';

/** The device number of ptmx, in every devpts. */
const PTMX = { major: 5, minor: 2 };

export interface PtyOptions {
  /** The root of a devpts mount, in the process that executes `sys`; default: /dev/ptmx. */
  devpts?: number;
  size?: WindowSize | undefined;
}

/** A pair; both descriptors are close-on-exec, and closed when disposed. */
export class Pty implements Disposable {
  readonly #sys: Syscalls;
  #open: Set<number>;
  readonly master: number;
  readonly slave: number;

  private constructor(sys: Syscalls, pair: { master: number; slave: number }) {
    this.#sys = sys;
    this.master = pair.master;
    this.slave = pair.slave;
    this.#open = new Set([pair.master, pair.slave]);
  }

  /**
   * @throws {StrataError} NOT_A_PTY where what is at ptmx's place is something else
   * @throws {SyscallError} ENOSPC where there are too many, ENOENT without a devpts
   */
  static open(sys: Syscalls, options: PtyOptions = {}): Pty {
    const master = openMaster(sys, options.devpts);
    try {
      const slave = openSlave(sys, master);
      const pty = new Pty(sys, { master, slave });
      if (options.size) setWindowSize(sys, master, options.size);
      return pty;
    } catch (error) {
      sys.close(master);
      throw error;
    }
  }

  /** Its name in its own devpts: `/dev/pts/3`. */
  get name(): string {
    return ptsName(this.#sys, this.master);
  }

  /** Closes one side only: a program's end is heard of when nobody else holds the slave. */
  close(side: 'master' | 'slave'): void {
    if (this.#open.delete(this[side])) this.#sys.close(this[side]);
  }

  /** Gives up a side without closing it: it is somebody else's now. */
  release(side: 'master' | 'slave'): number {
    this.#open.delete(this[side]);
    return this[side];
  }

  [Symbol.dispose](): void {
    this.close('slave');
    this.close('master');
  }
}

function openMaster(sys: Syscalls, devpts: number | undefined): number {
  const flags = O_RDWR | O_NOCTTY;
  // Before anything of it is opened: what somebody has put there could wait, or do things.
  if (devpts !== undefined) requireDevpts(sys, devpts);
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  const master =
    devpts === undefined
      ? sys.openat2('/dev/ptmx', { flags })
      : sys.openat2('ptmx', { dirfd: devpts, flags, resolve });
  try {
    requireMaster(sys, master);
    return master;
  } catch (error) {
    sys.close(master);
    throw error;
  }
}

function requireDevpts(sys: Syscalls, directory: number): void {
  if (sys.executor.kind === 'recording') return;
  if (sys.fstatfsType(directory) === DEVPTS_SUPER_MAGIC) return;
  throw new StrataError('NOT_A_PTY', 'what is at the place of devpts is another file system', {
    errno: ENOTTY,
    hint: 'a terminal needs a mount of type devpts at /dev/pts',
  });
}

/** Unlocks the slave of a master and opens it. @throws {SyscallError} EINVAL before Linux 4.13 */
export function openSlave(sys: Syscalls, master: number): number {
  sys.ioctl(master, TIOCSPTLCK, new Uint8Array(4));
  return sys.ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/**
 * Makes sure that a descriptor is the master of a pair: anything may come over a socket.
 * @throws {StrataError} NOT_A_PTY
 */
export function requireMaster(sys: Syscalls, fd: number): void {
  // Nothing was opened: there is nothing to look at.
  if (sys.executor.kind === 'recording') return;
  const { mode, rdevMajor, rdevMinor } = sys.statx(fd, '', AT_EMPTY_PATH);
  const isPtmx =
    (mode & S_IFMT) === S_IFCHR && rdevMajor === PTMX.major && rdevMinor === PTMX.minor;
  if (isPtmx && ptyNumber(sys, fd) !== undefined) return;
  throw new StrataError('NOT_A_PTY', `descriptor ${fd} is not the master of a pseudoterminal`, {
    errno: ENOTTY,
  });
}

/** The pair's number in its devpts, or undefined for what is no master. @see TIOCGPTN(2const) */
function ptyNumber(sys: Syscalls, master: number): number | undefined {
  const out = new Out(new Uint8Array(4));
  try {
    sys.ioctl(master, TIOCGPTN, out);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === ENOTTY || errno === EINVAL) return undefined;
    throw error;
  }
  return new DataView(out.bytes.buffer).getUint32(0, true);
}

/**
 * The slave's name where its devpts is at /dev/pts. For showing: opening it by name is a race.
 * @throws {StrataError} NOT_A_PTY
 * @see ptsname(3)
 */
export function ptsName(sys: Syscalls, master: number): string {
  const number = ptyNumber(sys, master);
  if (number !== undefined) return `/dev/pts/${number}`;
  throw new StrataError('NOT_A_PTY', `descriptor ${master} is not the master of a pseudoterminal`, {
    errno: ENOTTY,
  });
}

/** Makes a terminal the caller's standard streams and its controlling terminal (after setsid). */
export function adoptTerminal(sys: Syscalls, slave: number): void {
  sys.ioctl(slave, TIOCSCTTY, 0);
  for (const fd of [0, 1, 2]) if (fd !== slave) sys.dup3(slave, fd);
}
