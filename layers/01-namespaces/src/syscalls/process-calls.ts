/** Processes: creation, waiting, signals, pidfds, and what a process may set on itself. */

import {
  CLONE_INTO_CGROUP,
  CLONE_PARENT,
  KEYCTL_JOIN_SESSION_KEYRING,
  LINUX_CAPABILITY_VERSION_3,
  P_PID,
  P_PIDFD,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_DUMPABLE,
  PR_SET_KEEPCAPS,
  PR_SET_NAME,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
} from './constants.ts';
import { Out, Struct, stringVector } from './memory.ts';
import { MountListingCalls } from './mount-listing-calls.ts';
import { SIGCHLD } from './signals.ts';

/** How a child ended. @see waitid(2) */
export interface ChildStatus {
  pid: number;
  /** CLD_EXITED, CLD_KILLED or CLD_DUMPED. */
  code: number;
  /** The exit status, or the number of the signal that ended it. */
  status: number;
}

export interface CapabilitySets {
  effective: bigint;
  permitted: bigint;
  inheritable: bigint;
}

export interface ResourceLimit {
  /** RLIMIT_* number. */
  resource: number;
  /** Values are bytes, seconds or counts; RLIM_INFINITY is 2^64-1. */
  soft: bigint;
  hard: bigint;
}

export const SIGINFO_BYTES = 128;
const CLONE_ARGS_BYTES = 88;

/** Reads the siginfo_t that waitid(2) fills. */
export function parseChildStatus(siginfo: Uint8Array): ChildStatus {
  const view = new DataView(siginfo.buffer, siginfo.byteOffset);
  return {
    pid: view.getInt32(16, true),
    code: view.getInt32(8, true),
    status: view.getInt32(24, true),
  };
}

export class ProcessCalls extends MountListingCalls {
  /** Moves the caller into new namespaces (CLONE_NEW* bits). @see unshare(2) */
  unshare(flags: number): void {
    this.order('unshare', flags);
  }

  /** Joins the namespace behind `fd`; `type` is a CLONE_NEW* bit or 0 for any. @see setns(2) */
  setns(fd: number, type: number): void {
    this.order('setns', fd, type);
  }

  /** Replaces the process image. Returns only by throwing. @see execve(2) */
  execve(path: string, argv: readonly string[], env: readonly string[]): void {
    this.call('execve', path, stringVector(argv), stringVector(env));
  }

  /** Waits for one child; undefined with WNOHANG where it still runs. @see waitid(2) */
  waitid(pid: number, options: number): ChildStatus | undefined {
    return this.#wait(P_PID, pid, options);
  }

  /** As `waitid`, by process descriptor. @see waitid(2) */
  waitidPidfd(pidfd: number, options: number): ChildStatus | undefined {
    return this.#wait(P_PIDFD, pidfd, options);
  }

  #wait(type: number, id: number, options: number): ChildStatus | undefined {
    const siginfo = new Uint8Array(SIGINFO_BYTES);
    this.call('waitid', type, id, new Out(siginfo), options, null);
    const status = parseChildStatus(siginfo);
    return status.pid === 0 ? undefined : status;
  }

  /** @see kill(2) */
  kill(pid: number, signal: number): void {
    this.call('kill', pid, signal);
  }

  /** @see pidfd_open(2) */
  pidfdOpen(pid: number): number {
    return this.call('pidfd_open', pid, 0);
  }

  /** A duplicate of descriptor `fd` of another process. @see pidfd_getfd(2) */
  pidfdGetfd(pidfd: number, fd: number): number {
    return this.call('pidfd_getfd', pidfd, fd, 0);
  }

  /** @see pidfd_send_signal(2) */
  pidfdSendSignal(pidfd: number, signal: number): void {
    this.call('pidfd_send_signal', pidfd, signal, null, 0);
  }

  /** @see getpid(2) */
  getpid(): number {
    return this.call('getpid');
  }

  /** @see setsid(2) */
  setsid(): void {
    this.order('setsid');
  }

  /** Sets the host name of the UTS namespace. @see sethostname(2) */
  sethostname(name: string): void {
    this.order('sethostname', name, Buffer.byteLength(name));
  }

  /** @see setdomainname(2) */
  setdomainname(name: string): void {
    this.order('setdomainname', name, Buffer.byteLength(name));
  }

  /** @see umask(2) */
  umask(mask: number): void {
    this.order('umask', mask);
  }

  /** @see setgroups(2) */
  setgroups(gids: readonly number[]): void {
    this.order('setgroups', gids.length, new Uint8Array(Uint32Array.from(gids).buffer));
  }

  /** Sets real, effective and saved uid at once. @see setresuid(2) */
  setresuid(uid: number): void {
    this.order('setresuid', uid, uid, uid);
  }

  /** @see setresgid(2) */
  setresgid(gid: number): void {
    this.order('setresgid', gid, gid, gid);
  }

  /** Sets the caller's three capability sets. @see capset(2) */
  capset(sets: CapabilitySets): void {
    const header = new Uint8Array(Uint32Array.of(LINUX_CAPABILITY_VERSION_3, 0).buffer);
    const low = (set: bigint): number => Number(set & 0xffffffffn);
    const high = (set: bigint): number => Number(set >> 32n);
    const { effective, permitted, inheritable } = sets;
    const data = Uint32Array.of(
      low(effective),
      low(permitted),
      low(inheritable),
      high(effective),
      high(permitted),
      high(inheritable),
    );
    this.order('capset', header, new Uint8Array(data.buffer));
  }

  /** Removes a capability from the bounding set. @see PR_CAPBSET_DROP(2const) */
  dropBoundingCapability(capability: number): void {
    this.order('prctl', PR_CAPBSET_DROP, capability, 0, 0, 0);
  }

  /** @see PR_CAP_AMBIENT(2const) */
  clearAmbientCapabilities(): void {
    this.order('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  }

  /** @see PR_CAP_AMBIENT(2const) */
  raiseAmbientCapability(capability: number): void {
    this.order('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  }

  /** Keeps permitted capabilities over a change of uid. @see PR_SET_KEEPCAPS(2const) */
  setKeepCapabilities(on: boolean): void {
    this.order('prctl', PR_SET_KEEPCAPS, on ? 1 : 0, 0, 0, 0);
  }

  /** @see PR_SET_NO_NEW_PRIVS(2const) */
  setNoNewPrivileges(): void {
    this.order('prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  }

  /** @see PR_SET_DUMPABLE(2const) */
  setDumpable(on: boolean): void {
    this.order('prctl', PR_SET_DUMPABLE, on ? 1 : 0, 0, 0, 0);
  }

  /** The signal this process gets when its parent ends; 0 for none. @see PR_SET_PDEATHSIG(2const) */
  setParentDeathSignal(signal: number): void {
    this.order('prctl', PR_SET_PDEATHSIG, signal, 0, 0, 0);
  }

  /** The name ps(1) shows, at most 15 bytes. @see PR_SET_NAME(2const) */
  setProcessName(name: string): void {
    this.order('prctl', PR_SET_NAME, name, 0, 0, 0);
  }

  /** Sets a resource limit of the caller. @see prlimit(2) */
  setResourceLimit(limit: ResourceLimit): void {
    const words = BigUint64Array.of(limit.soft, limit.hard);
    this.order('prlimit64', 0, limit.resource, new Uint8Array(words.buffer), null);
  }

  /**
   * Installs a seccomp filter; returns the listener's descriptor with
   * SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0. @see seccomp(2)
   */
  seccomp(operation: number, flags: number, program: Uint8Array): number {
    return this.call('seccomp', operation, flags, socketFilterProgram(program));
  }

  /** Joins a new session keyring. @see keyctl(2) */
  joinSessionKeyring(name: string): void {
    this.call('keyctl', KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0);
  }

  /** @see personality(2) */
  personality(persona: number): void {
    this.order('personality', persona);
  }

  /** @see exit_group(2) */
  exitGroup(status: number): void {
    this.call('exit_group', status);
  }
}

/** struct sock_fprog: the number of 8-byte instructions and where they are. */
export function socketFilterProgram(program: Uint8Array): Struct {
  const header = new Uint8Array(16);
  new DataView(header.buffer).setUint16(0, program.length / 8, true);
  return new Struct(header, new Map([[8, program]]));
}

export interface CloneOptions {
  /** CLONE_* bits. */
  flags: number;
  /** The signal the parent gets when the child ends; default SIGCHLD. */
  exitSignal?: number;
  /** A cgroup v2 directory the child is born in. */
  cgroupFd?: number;
}

/** struct clone_args of clone3(2), for a child that goes on with the parent's stack. */
export function cloneArguments(options: CloneOptions): Uint8Array {
  const bytes = new Uint8Array(CLONE_ARGS_BYTES);
  const view = new DataView(bytes.buffer);
  const flags = options.flags + (options.cgroupFd === undefined ? 0 : CLONE_INTO_CGROUP);
  view.setUint32(0, flags >>> 0, true);
  view.setUint32(4, Math.floor(flags / 2 ** 32), true);
  // With CLONE_PARENT the kernel takes the caller's own exit signal and refuses another.
  const isSibling = Math.floor(flags / CLONE_PARENT) % 2 === 1;
  view.setUint32(32, isSibling ? 0 : (options.exitSignal ?? SIGCHLD), true);
  view.setUint32(80, options.cgroupFd ?? 0, true);
  return bytes;
}
