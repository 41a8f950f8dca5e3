/**
 * linux.sysctl, written through a procfs of our own.
 *
 * What is opened below a detached procfs is what it claims to be (CVE-2025-52881: writes redirected
 * by a fake /proc). It shows the namespaces of the process that opens it: the container's.
 *
 * Where the kernel refuses one, to root of a user namespace whose container has the PID namespace of
 * others, the runtime's own /proc is used: no image has had its hands on it yet. Every file below it is
 * checked as well.
 *
 * @see runtime-spec config-linux.md#sysctl, sysctl(8)
 */
import { statSync } from 'node:fs';
import {
  detachedProc,
  EPERM,
  errnoOf,
  O_DIRECTORY,
  O_PATH,
  openVerified,
  RESOLVE_NO_SYMLINKS,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import type { NamespaceKind } from '../config/spec.ts';
import { namespaceOfSysctl, sysctlPath } from '../config/sysctl-names.ts';
import { NAMESPACES } from '../namespaces/namespaces.ts';

/** Writes each value. @throws {StrataError} naming the key */
export function writeSysctls(sys: Syscalls, values: Readonly<Record<string, string>>): void {
  const entries = Object.entries(values);
  if (entries.length === 0) return;
  // What failed before is not a sysctl's fault.
  sys.flush();
  const proc = trustedProc(sys);
  const types = new Set(entries.map(([key]) => namespaceOfSysctl(key)!));
  for (const type of types) refuseOurs(sys, proc, type);
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

function trustedProc(sys: Syscalls): number {
  try {
    return detachedProc(sys);
  } catch (error) {
    if (errnoOf(error) !== EPERM) throw error;
    return sys.openat2('/proc', {
      flags: O_PATH | O_DIRECTORY,
      resolve: RESOLVE_NO_SYMLINKS,
    });
  }
}

/**
 * What the configuration's path led to when it was checked need not be what was joined: a pid in it may
 * be another process's by now. So what the writer is in is looked at (CVE-2022-0532).
 */
function refuseOurs(sys: Syscalls, proc: number, type: NamespaceKind): void {
  if (sys.executor.kind === 'recording') return;
  const { file } = NAMESPACES[type];
  const ours = statSync(`/proc/self/ns/${file}`, { throwIfNoEntry: false });
  if (sys.statx(proc, `self/ns/${file}`).inode !== ours?.ino) return;
  const field = 'linux.sysctl';
  throw new StrataError('SYSCTL', `${field}: the ${type} namespace is the host's`, { field });
}
