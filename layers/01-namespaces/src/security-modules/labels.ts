/**
 * Labels of processes: AppArmor profiles and SELinux contexts.
 *
 *   current   what the process is confined by
 *   exec      what the next execve will be confined by; a container's init sets this one
 *
 * A label is set with lsm_set_self_attr(2) where the kernel has it (6.8). Before that a file of
 * /proc has to be written, and a container image may have put something else there: a label written
 * to a fake file confines nobody (CVE-2019-19921), and one procfs file mounted over another passes
 * a check of the file system's type (CVE-2025-52881). So the file is opened below a procfs mounted
 * for this alone, without crossing a mount or following a link.
 *
 * @see proc_pid_attr(5), apparmor(7)
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { EINVAL, ENOENT, ENOSYS } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { detachedProc, openVerified } from '../mounts/detached-proc.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import {
  activeSecurityModules,
  type LabelModule,
  LSM_IDS,
  requireSecurityModule,
} from './security-modules.ts';

export type LabelKind = 'current' | 'exec';

const LSM_ATTRIBUTES: Readonly<Record<LabelKind, number>> = { current: 100, exec: 101 };

/**
 * A label of a process, as the module shows it; undefined where it has none.
 * @throws {StrataError} LSM_INACTIVE where the module is not switched on
 */
export function readLabel(
  module: LabelModule,
  pid: number | 'self' = 'self',
  kind: LabelKind = 'current',
): string | undefined {
  requireSecurityModule(module);
  const directory = `/proc/${pid}/attr`;
  // Since Linux 5.8 AppArmor has files of its own: `current` may belong to another module.
  const paths = module === 'apparmor' ? [`${directory}/apparmor/${kind}`] : [];
  for (const path of [...paths, `${directory}/${kind}`]) {
    try {
      return readAttribute(path);
    } catch (cause) {
      if (errnoOf(cause) === ENOENT && path.includes('/apparmor/')) continue;
      if (errnoOf(cause) === EINVAL) return undefined;
      const message = `cannot read the ${module} label of process ${pid}`;
      throw new StrataError('LSM_LABEL', message, { path, cause, errno: errnoOf(cause) });
    }
  }
  return undefined;
}

function readAttribute(path: string): string | undefined {
  const fd = openSync(path, 'r');
  try {
    const buffer = new Uint8Array(8192);
    return parseLabel(buffer.subarray(0, readSync(fd, buffer)));
  } finally {
    closeSync(fd);
  }
}

/** What an attribute file holds: a label that may end in a newline (AppArmor) or NUL (SELinux). */
export function parseLabel(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(bytes).replace(/[\n\0]+$/, '');
  return text === '' ? undefined : text;
}

/**
 * Sets a label of the process that executes `sys`. For `exec` it becomes the label of what execve
 * starts; a wrong name of a profile fails here (AppArmor) or at execve (SELinux).
 *
 * @throws {StrataError} LSM_INACTIVE where the module is not switched on, INVALID_LABEL for a label
 *   that could be read as something else, EXDEV where /proc is not what it claims to be
 * @throws {SyscallError} ENOENT for an AppArmor profile that is not loaded, EACCES, EPERM
 */
export function setLabel(
  sys: Syscalls,
  label: { module: LabelModule; value: string; kind?: LabelKind },
): void {
  const { module, value, kind = 'exec' } = label;
  checkLabel(value);
  requireSecurityModule(module, activeSecurityModules(sys));
  try {
    sys.lsmSetSelfAttr(LSM_ATTRIBUTES[kind], LSM_IDS[module], selfText(module, kind, value));
  } catch (error) {
    if (errnoOf(error) !== ENOSYS) throw error;
    writeLabel(sys, { module, value, kind });
  }
}

/** AppArmor's files take commands: `exec PROFILE`, `changeprofile PROFILE`. */
const selfText = (module: LabelModule, kind: LabelKind, value: string): string => {
  if (module === 'selinux') return value;
  return kind === 'exec' ? `exec ${value}` : `changeprofile ${value}`;
};

function checkLabel(value: string): void {
  if (value === '' || value.length > 4000 || /\p{Cc}/u.test(value)) {
    const message = `not a label: ${JSON.stringify(value.slice(0, 100))}`;
    throw new StrataError('INVALID_LABEL', message, { errno: EINVAL });
  }
}

/**
 * Writes a label by way of /proc. Exported for kernels and tests that have no other way.
 * @throws as setLabel
 */
export function writeLabel(
  sys: Syscalls,
  label: { module: LabelModule; value: string; kind: LabelKind },
): void {
  const { module, value, kind } = label;
  const fd = openOwnAttribute(sys, module, kind);
  try {
    // A label is taken in one write; a second one would be another command.
    const bytes = new TextEncoder().encode(selfText(module, kind, value));
    const written = sys.call('write', fd, bytes, bytes.length);
    if (written !== bytes.length && sys.executor.kind !== 'recording') {
      throw new StrataError('LSM_LABEL', `${written} of ${bytes.length} bytes of a label written`);
    }
  } finally {
    sys.close(fd);
  }
}

function openOwnAttribute(sys: Syscalls, module: LabelModule, kind: LabelKind): number {
  const proc = detachedProc(sys);
  try {
    // Labels belong to threads, and Node has several: it is the calling one's that is set.
    const thread = sys.call('gettid');
    const names = module === 'apparmor' ? [`apparmor/${kind}`, kind] : [kind];
    let failure: unknown;
    for (const name of names) {
      try {
        return openVerified(sys, proc, `${thread}/attr/${name}`);
      } catch (error) {
        if (errnoOf(error) !== ENOENT) throw error;
        failure = error;
      }
    }
    throw failure;
  } finally {
    sys.close(proc);
  }
}

/** Whether a process is confined by a label that is more than "unconfined". */
export function isConfined(label: string | undefined): boolean {
  return label !== undefined && !/^unconfined$|^kernel$|:unconfined_t:|^\(null\)$/.test(label);
}

/** The profile's name and mode in AppArmor's `name (mode)`. */
export function parseAppArmorLabel(label: string): { profile: string; mode: string | undefined } {
  const match = /^(.*) \((enforce|complain|kill|unconfined|user|mixed)\)$/s.exec(label);
  return match ? { profile: match[1]!, mode: match[2] } : { profile: label, mode: undefined };
}

/** Whether AppArmor has a profile of this name loaded; undefined where that cannot be seen. */
export function hasAppArmorProfile(name: string): boolean | undefined {
  let text: string;
  try {
    text = readFileSync('/sys/kernel/security/apparmor/profiles', 'utf8');
  } catch (error) {
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
  return text.split('\n').some((line) => parseAppArmorLabel(line).profile === name);
}
