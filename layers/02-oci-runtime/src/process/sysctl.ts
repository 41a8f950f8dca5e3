/**
 * linux.sysctl, written through a procfs of our own.
 *
 * What is opened below a detached procfs is what it claims to be (CVE-2025-52881: writes redirected
 * by a fake /proc). It shows the namespaces of the process that opens it: the container's.
 *
 * @see runtime-spec config-linux.md#sysctl, sysctl(8)
 */
import { detachedProc, openVerified, StrataError, type Syscalls } from '@strata/namespaces';
import { sysctlPath } from '../config/sysctl-names.ts';

/** Writes each value. @throws {StrataError} naming the key */
export function writeSysctls(sys: Syscalls, values: Readonly<Record<string, string>>): void {
  const entries = Object.entries(values);
  if (entries.length === 0) return;
  // What failed before is not a sysctl's fault.
  sys.flush();
  const proc = detachedProc(sys);
  for (const [key, value] of entries) {
    const field = `linux.sysctl.${key}`;
    const path = `sys/${sysctlPath(key)}`;
    try {
      const fd = openVerified(sys, proc, path);
      sys.write(fd, value);
      sys.close(fd);
      sys.flush();
    } catch (cause) {
      throw new StrataError('SYSCTL', `${field}: ${(cause as Error).message}`, { field, cause });
    }
  }
}
