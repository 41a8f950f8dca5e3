/**
 * A pin keeps a namespace alive without any process: a bind mount of its nsfs file on an ordinary
 * one, as `ip netns add` makes in /run/netns.
 *
 *   pinNamespace('/proc/1234/ns/net', '/run/netns/blue');
 *   using blue = Namespace.open('/run/netns/blue');
 *   unpinNamespace('/run/netns/blue');
 *
 * A mount namespace can only be pinned in an older one, on a mount that is private: otherwise it
 * would keep itself alive. A pinned PID namespace whose init has ended takes no processes any more.
 *
 * @see namespaces(7), "Bind mounting"; ip-netns(8)
 */
import { EINVAL, ELOOP } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  MNT_DETACH,
  NSFS_MAGIC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  OPEN_TREE_CLONE,
  UMOUNT_NOFOLLOW,
} from '../syscalls/constants.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { Namespace } from './namespace.ts';

/**
 * Pins the namespace at path `source` to the new file `target`, whose directory must be there. Both
 * are of the process that executes `sys`, and the pin is in its mount namespace.
 *
 * @throws {StrataError} NOT_A_NAMESPACE, CANNOT_PIN with the kernel's errno and what to do about it
 * @throws {SyscallError} EEXIST where there is a file already, ENOENT, EACCES, EPERM without
 *   CAP_SYS_ADMIN over the mount namespace
 */
export function pinNamespace(
  source: string,
  target: string,
  sys: Syscalls = localSyscalls(),
): void {
  using namespace = Namespace.open(source, sys);
  sys.close(sys.openat2(target, { flags: O_RDONLY | O_CREAT | O_EXCL, mode: 0 }));
  try {
    mountOn(sys, namespace, target);
  } catch (cause) {
    sys.attempt('unlinkat', AT_FDCWD, target, 0);
    const errno = errnoOf(cause);
    if (errno !== EINVAL && errno !== ELOOP) throw cause;
    const message = `cannot pin ${source} to ${target}: ${(cause as Error).message}`;
    throw new StrataError('CANNOT_PIN', message, {
      path: target,
      errno,
      cause,
      hint: 'a mount namespace is pinned from an older one, on a private mount (mount --make-private)',
    });
  }
}

/** By descriptors: nobody can slip another file under the path in between. */
function mountOn(sys: Syscalls, namespace: Namespace, target: string): void {
  using held = new DisposableStack();
  const hold = (fd: number): number => {
    held.defer(() => sys.close(fd));
    return fd;
  };
  const place = hold(sys.openat2(target, { flags: O_PATH | O_NOFOLLOW }));
  const tree = hold(sys.openTree(namespace.fd, '', OPEN_TREE_CLONE | AT_EMPTY_PATH));
  sys.moveMount(tree, place);
}

/**
 * Takes a pin away, and its file. The namespace lives on while processes or descriptors hold it.
 * @throws {StrataError} NOT_A_PIN, before anything is done, where the file is not one
 * @throws {SyscallError} ENOENT, EPERM without CAP_SYS_ADMIN over the mount namespace
 */
export function unpinNamespace(target: string, sys: Syscalls = localSyscalls()): void {
  const place = sys.openat2(target, { flags: O_PATH | O_NOFOLLOW });
  const isPin = sys.fstatfsType(place) === NSFS_MAGIC;
  sys.close(place);
  if (!isPin || target.startsWith('/proc/')) {
    const hint = 'strata-ns ls shows the pins';
    throw new StrataError('NOT_A_PIN', `${target} pins no namespace`, { path: target, hint });
  }
  sys.umount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
  sys.unlinkat(AT_FDCWD, target);
}
