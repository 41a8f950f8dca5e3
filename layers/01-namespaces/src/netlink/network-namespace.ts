/**
 * A network namespace, held by a descriptor: it lives as long as somebody holds one.
 *
 * Node has many threads, but a network namespace belongs to a thread, not to a process: setns(2)
 * moves the calling thread alone, and JavaScript never leaves its thread within a synchronous
 * function. So a visit is setns, the work, setns back: some tens of µs, where a helper process costs
 * 200. What is created during the visit (sockets above all) stays in the namespace visited.
 *
 *   using pod = NetworkNamespace.create();
 *   using netlink = pod.run(() => new RouteNetlink());   // configures `pod` from here on
 *
 * This needs CAP_SYS_ADMIN over both namespaces; where it is missing (a namespace of another user
 * namespace), a stub inside the namespace serves: `new RouteNetlink(stub.sys)`.
 *
 * @see network_namespaces(7), setns(2)
 */
import { StrataError } from '../errors/strata-error.ts';
import { AT_EMPTY_PATH, CLONE_NEWNET, O_RDONLY } from '../syscalls/constants.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';

/** Of the thread, since /proc/self is about the process's first thread. */
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

export class NetworkNamespace implements Disposable {
  /** Valid in this process until the object is disposed of. */
  readonly fd: number;
  readonly #sys: Syscalls;
  #closed = false;

  private constructor(sys: Syscalls, fd: number) {
    this.#sys = sys;
    this.fd = fd;
  }

  /** A new, empty namespace: its only interface is a loopback that is down. */
  static create(): NetworkNamespace {
    const sys = localSyscalls();
    using home = NetworkNamespace.current();
    sys.unshare(CLONE_NEWNET);
    try {
      return NetworkNamespace.current();
    } finally {
      comeHome(sys, home.fd);
    }
  }

  /** The namespace of the calling thread. */
  static current(): NetworkNamespace {
    return NetworkNamespace.open(OWN_NAMESPACE);
  }

  /**
   * The namespace a path leads to: /proc/PID/ns/net, or a bind mount of it.
   * @throws {StrataError} ENOENT where the process or the mount has gone
   */
  static open(path: string): NetworkNamespace {
    const sys = localSyscalls();
    return new NetworkNamespace(sys, sys.openat2(path, { flags: O_RDONLY }));
  }

  /** The namespace behind a descriptor that stays the caller's: a duplicate is held. */
  static duplicate(fd: number): NetworkNamespace {
    const sys = localSyscalls();
    return new NetworkNamespace(sys, sys.duplicateFrom(fd, 3));
  }

  /** The number that names the namespace in `ls -l /proc/PID/ns`. */
  get inode(): number {
    return this.#sys.statx(this.fd, '', AT_EMPTY_PATH).inode;
  }

  /**
   * Runs `visit` with this thread inside the namespace and brings the thread home again. `visit`
   * must be synchronous. Processes it spawns are born in the namespace.
   * @throws {SyscallError} EPERM without CAP_SYS_ADMIN over the namespace; EINVAL where `fd` is of
   *   another kind of namespace
   */
  run<Result>(visit: () => Result extends PromiseLike<unknown> ? never : Result): Result {
    using home = NetworkNamespace.current();
    this.#sys.setns(this.fd, CLONE_NEWNET);
    try {
      return visit();
    } finally {
      comeHome(this.#sys, home.fd);
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sys.close(this.fd);
  }
}

/** The network namespace a process lives in, as a path. */
export function networkNamespacePath(pid: number): string {
  return `/proc/${pid}/ns/net`;
}

/** A thread that cannot go home would configure the wrong network from then on: better to end. */
function comeHome(sys: Syscalls, home: number): void {
  const result = sys.attempt('setns', home, CLONE_NEWNET);
  if (result === 0) return;
  const error = new StrataError('LOST_NAMESPACE', 'the thread cannot return to its own network', {
    cause: sys.failure('setns', -result, [home, CLONE_NEWNET]),
  });
  process.stderr.write(`${error.message}\n`);
  process.abort();
}
