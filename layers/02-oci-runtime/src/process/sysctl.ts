/**
 * linux.sysctl, written through a procfs of our own.
 *
 * A fresh detached mount of proc cannot have been over-mounted or swapped by anybody, so what is
 * opened below it is what it claims to be (CVE-2025-52881: writes redirected by a fake /proc). It
 * shows the namespaces of the process that opens it: the container's.
 *
 * @see runtime-spec config-linux.md#sysctl, sysctl(8)
 */
import {
  O_WRONLY,
  PROC_SUPER_MAGIC,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import { sysctlPath } from '../config/sysctl-names.ts';

/** A detached procfs mount of the caller's PID namespace. */
export function privateProc(sys: Syscalls): number {
  const context = sys.fsopen('proc');
  sys.fsconfigCreate(context);
  const fd = sys.fsmount(context, 0);
  sys.close(context);
  return fd;
}

/** Writes each value. @throws {StrataError} naming the key */
export function writeSysctls(sys: Syscalls, values: Readonly<Record<string, string>>): void {
  const entries = Object.entries(values);
  if (entries.length === 0) return;
  const proc = privateProc(sys);
  for (const [key, value] of entries) {
    const field = `linux.sysctl.${key}`;
    const path = `sys/${sysctlPath(key)}`;
    try {
      const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
      const fd = sys.openat2(path, { dirfd: proc, flags: O_WRONLY, resolve });
      if (sys.fstatfsType(fd) !== PROC_SUPER_MAGIC) {
        throw new StrataError('EXDEV', `${path} is not on procfs`, { path });
      }
      sys.write(fd, value);
      sys.close(fd);
      sys.flush();
    } catch (cause) {
      throw new StrataError('SYSCTL', `${field}: ${(cause as Error).message}`, { field, cause });
    }
  }
}
