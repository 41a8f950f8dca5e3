/**
 * A new root for a mount namespace, by descriptor: no path is looked up between a check and its use.
 *
 *   fchdir(root)              the working directory is the new root
 *   pivot_root(".", ".")      it becomes `/`, and the old root is stacked on top of it
 *   umount2(".", MNT_DETACH)  the old root is let go, with all below it
 *
 * @see pivot_root(2), section 'pivot_root(".", ".")'
 */
import { MNT_DETACH } from '../syscalls/constants.ts';
import type { Descriptor } from '../syscalls/memory.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

/**
 * Swaps the root of the executing process's mount namespace, and lets go of the old tree.
 *
 * @param root the root of a mount that does not propagate, nor do its parent and the old root
 * @throws {SyscallError} EINVAL where it is no such mount, or the root is the initial ramfs; EBUSY
 *   where it is on the current root
 */
export function pivotInto(sys: Syscalls, root: Descriptor): void {
  sys.fchdir(root);
  sys.pivotRoot('.', '.');
  sys.umount('.', MNT_DETACH);
  sys.chdir('/');
}
