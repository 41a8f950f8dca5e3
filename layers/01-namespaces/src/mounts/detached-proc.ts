/**
 * A procfs that can be trusted, for what must not be written to a fake file.
 *
 * /proc may have been mounted over, wholly or file by file; a container's image may even be the one
 * who did it. A fresh mount that is attached nowhere cannot have been over-mounted or swapped by
 * anybody, so what is opened below it is what it claims to be (CVE-2019-19921, CVE-2025-52881).
 */
import { StrataError } from '../errors/strata-error.ts';
import {
  O_WRONLY,
  PROC_SUPER_MAGIC,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from '../syscalls/constants.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

/**
 * A detached procfs mount of the PID namespace of the process that executes `sys`. It shows the
 * other namespaces (/proc/sys) of whoever opens a file of it.
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN, or in a user namespace whose /proc has parts
 *   mounted over
 * @see fsmount(2)
 */
export function detachedProc(sys: Syscalls): number {
  const context = sys.fsopen('proc');
  try {
    sys.fsconfigCreate(context);
    return sys.fsmount(context, 0);
  } finally {
    sys.close(context);
  }
}

/**
 * Opens a file of procfs for writing, below a mount of it: no link is followed, no mount crossed.
 * @throws {StrataError} EXDEV where what was opened is not on procfs
 */
export function openVerified(sys: Syscalls, proc: number, path: string): number {
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  const fd = sys.openat2(path, { dirfd: proc, flags: O_WRONLY, resolve });
  if (sys.executor.kind === 'recording' || sys.fstatfsType(fd) === PROC_SUPER_MAGIC) return fd;
  sys.close(fd);
  throw new StrataError('EXDEV', `${path} is not on procfs`, {
    path,
    hint: 'something else is mounted over /proc',
  });
}
