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
import { newFileSystem, type Parameter } from './new-file-system.ts';

export interface ProcOptions {
  /**
   * Whose processes are shown: all, only those of which the reader may not read anything but that they
   * are there, none but the reader's own, or (Linux 5.8) those it may trace. Default: as the first.
   */
  hidePid?: 'off' | 'noaccess' | 'invisible' | 'ptraceable';
  /** The group that hidePid does not concern. */
  gid?: number;
  /** Only processes, nothing of the kernel: no /proc/sys, /proc/kcore, ... (Linux 5.8). */
  onlyPids?: boolean;
}

/**
 * A detached procfs mount of the PID namespace of the process that executes `sys`. It shows the
 * other namespaces (/proc/sys) of whoever opens a file of it.
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN, or in a user namespace whose /proc has parts
 *   mounted over; EINVAL for an option that the kernel does not have
 * @see fsmount(2), proc(5)
 */
export function detachedProc(sys: Syscalls, options: ProcOptions = {}): number {
  const parameters: Parameter[] = [];
  if (options.hidePid !== undefined) parameters.push(['hidepid', options.hidePid]);
  if (options.gid !== undefined) parameters.push(['gid', String(options.gid)]);
  if (options.onlyPids) parameters.push(['subset', 'pid']);
  return sys.settle(newFileSystem(sys, { type: 'proc', source: 'proc', parameters }));
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
