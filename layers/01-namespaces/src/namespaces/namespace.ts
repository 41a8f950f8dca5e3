/**
 * A namespace, held by a descriptor: it lives as long as somebody holds one.
 *
 *   /proc/PID/ns/net ─┐                          ┌─ NS_GET_NSTYPE ───▶ its kind
 *   /run/netns/blue ──┴─ open ─▶ nsfs descriptor ┼─ NS_GET_USERNS ───▶ the user namespace that owns it
 *                                 (inode = name) ├─ NS_GET_PARENT ───▶ the outer one (pid, user)
 *                                                └─ NS_GET_OWNER_UID ▶ who made it (user)
 *
 * An inode number is a name only while the namespace lives; afterwards the kernel gives it to another.
 *
 * @see namespaces(7), ioctl_nsfs(2)
 */
import { EINVAL, EPERM } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { AT_EMPTY_PATH, NSFS_MAGIC, O_PATH, O_RDONLY } from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { kindOfFlag, type NamespaceKind } from './kinds.ts';

const NS_GET_USERNS = 0xb701;
const NS_GET_PARENT = 0xb702;
const NS_GET_NSTYPE = 0xb703;
const NS_GET_OWNER_UID = 0xb704;

export class Namespace implements Disposable {
  /** Of the process that executes `sys`; valid until disposed. */
  readonly fd: number;
  readonly #sys: Syscalls;
  #closed = false;

  private constructor(sys: Syscalls, fd: number) {
    this.#sys = sys;
    this.fd = fd;
  }

  /**
   * The namespace a path leads to: /proc/PID/ns/KIND or a pin. What is no namespace is not opened at
   * all: a FIFO in its place cannot make us wait, nor a device do something.
   *
   * @throws {StrataError} NOT_A_NAMESPACE
   * @throws {SyscallError} ENOENT where process or file has gone; EACCES where it is not for us
   */
  static open(path: string, sys: Syscalls = localSyscalls()): Namespace {
    const place = sys.openat2(path, { flags: O_PATH });
    try {
      return Namespace.reopen(sys, place, path);
    } finally {
      sys.close(place);
    }
  }

  /** As `open`, for an O_PATH descriptor that stays the caller's. */
  static reopen(sys: Syscalls, place: number, shown: string): Namespace {
    if (sys.fstatfsType(place) !== NSFS_MAGIC) {
      throw new StrataError('NOT_A_NAMESPACE', `${shown} is not a namespace`, {
        path: shown,
        errno: EINVAL,
        hint: 'a namespace is /proc/PID/ns/KIND, or a file where one is pinned (a bind mount)',
      });
    }
    return new Namespace(sys, sys.openat2(`/proc/self/fd/${place}`, { flags: O_RDONLY }));
  }

  /** A namespace of a process. @throws {SyscallError} ENOENT, EACCES */
  static ofProcess(
    pid: number | 'self',
    kind: NamespaceKind,
    sys: Syscalls = localSyscalls(),
  ): Namespace {
    return Namespace.open(`/proc/${pid}/ns/${kind}`, sys);
  }

  /** The number that `ls -l /proc/PID/ns` shows. */
  get inode(): number {
    return this.#sys.statx(this.fd, '', AT_EMPTY_PATH).inode;
  }

  /** @throws {StrataError} UNKNOWN_NAMESPACE_KIND where the kernel has more kinds than we know */
  get kind(): NamespaceKind {
    const flag = this.#sys.ioctl(this.fd, NS_GET_NSTYPE, 0);
    const kind = kindOfFlag(flag);
    if (kind) return kind;
    throw new StrataError('UNKNOWN_NAMESPACE_KIND', `namespace of kind 0x${flag.toString(16)}`);
  }

  /** Who made a user namespace: a uid as seen from ours. @throws {SyscallError} EINVAL for other kinds */
  get ownerUid(): number {
    const out = new Out(new Uint8Array(4));
    this.#sys.ioctl(this.fd, NS_GET_OWNER_UID, out);
    return new DataView(out.bytes.buffer).getUint32(0, true);
  }

  /**
   * The user namespace whose capabilities count here: of the process that made this one. Of a user
   * namespace, the outer one. Undefined where that is out of our sight (not ours nor within ours).
   */
  owner(): Namespace | undefined {
    return this.#related(NS_GET_USERNS);
  }

  /**
   * The outer namespace, of kinds that nest (pid, user); undefined for other kinds, for the first
   * one, and where it is out of our sight.
   */
  parent(): Namespace | undefined {
    return this.#related(NS_GET_PARENT);
  }

  #related(request: number): Namespace | undefined {
    const fd = this.#sys.attempt('ioctl', this.fd, request, 0);
    if (fd >= 0) return new Namespace(this.#sys, fd);
    if (fd === -EPERM || fd === -EINVAL) return undefined;
    throw this.#sys.failure('ioctl', -fd, [this.fd, request, 0]);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sys.close(this.fd);
  }
}
