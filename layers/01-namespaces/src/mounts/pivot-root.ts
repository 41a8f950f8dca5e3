/**
 * A new root for a mount namespace, by descriptor: no path is looked up between a check and its use.
 *
 *   fchdir(root)              the working directory is the new root
 *   pivot_root(".", ".")      it becomes `/`, and the old root is stacked on top of it
 *   umount2(".", MNT_DETACH)  the old root is let go, with all below it
 *
 * @see pivot_root(2), section 'pivot_root(".", ".")'
 */
import { AT_FDCWD, AT_RECURSIVE, MNT_DETACH, MS_SLAVE } from '../syscalls/constants.ts';
import type { Descriptor } from '../syscalls/memory.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

/**
 * Swaps the root of the executing process's mount namespace, and lets go of the old tree.
 *
 * @param root the root of a mount that does not propagate, nor do its parent and the old root's
 * @param options.hasPeers whether mounts of the old tree may have peers in other namespaces, which are
 *   not to be unmounted with it
 * @throws {SyscallError} EINVAL where it is no such mount, or the root is the initial ramfs; EBUSY
 *   where it is on the current root
 */
export function pivotInto(
  sys: Syscalls,
  root: Descriptor,
  options: { hasPeers?: boolean } = {},
): void {
  const oldRoot = options.hasPeers ? sys.openTreeLater(AT_FDCWD, '/', 0) : undefined;
  sys.fchdir(root);
  sys.pivotRoot('.', '.');
  // By descriptor: for mount(2) "." is the new root, for umount2(2) what is on top of it.
  if (oldRoot !== undefined) sys.mountSetattr(oldRoot, { propagation: MS_SLAVE }, AT_RECURSIVE);
  sys.umount('.', MNT_DETACH);
  sys.chdir('/');
}
