/**
 * The answers of a filter, and the flags of its installation.
 *
 * @see seccomp(2)
 */
import { ENOSYS, EPERM } from '../errors/errno.ts';
import {
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
} from '../syscalls/constants.ts';
import { refuse } from './check-profile.ts';
import type { SeccompProfile } from './profile.ts';

export const SECCOMP_RET_KILL_PROCESS = 0x8000_0000;
export const SECCOMP_RET_KILL_THREAD = 0x0000_0000;
export const SECCOMP_RET_TRAP = 0x0003_0000;
export const SECCOMP_RET_ERRNO = 0x0005_0000;
export const SECCOMP_RET_USER_NOTIF = 0x7fc0_0000;
export const SECCOMP_RET_TRACE = 0x7ff0_0000;
export const SECCOMP_RET_LOG = 0x7ffc_0000;
export const SECCOMP_RET_ALLOW = 0x7fff_0000;

/** SCMP_ACT_* → what the filter returns; the low half of some carries a number. */
export const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: SECCOMP_RET_KILL_THREAD,
  SCMP_ACT_KILL_THREAD: SECCOMP_RET_KILL_THREAD,
  SCMP_ACT_KILL_PROCESS: SECCOMP_RET_KILL_PROCESS,
  SCMP_ACT_TRAP: SECCOMP_RET_TRAP,
  SCMP_ACT_ERRNO: SECCOMP_RET_ERRNO,
  SCMP_ACT_TRACE: SECCOMP_RET_TRACE,
  SCMP_ACT_NOTIFY: SECCOMP_RET_USER_NOTIF,
  SCMP_ACT_LOG: SECCOMP_RET_LOG,
  SCMP_ACT_ALLOW: SECCOMP_RET_ALLOW,
};

/** Actions with a number: the errno, or the tracer's message. EPERM unless the profile says. */
const NUMBERED = new Set(['SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE']);

/** An action as a profile has it, and where. */
export interface ActionFields {
  action: string;
  errnoRet: number | undefined;
  /** JSON paths. */
  actionField: string;
  errnoField: string;
}

/**
 * What the filter returns for an action. An errno beside an action that has none is an error, as the
 * specification demands.
 *
 * @throws {StrataError} INVALID_CONFIG
 */
export function returnValue(fields: ActionFields): number {
  const { action, errnoRet, actionField, errnoField } = fields;
  const value = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (value === undefined) refuse(actionField, `unknown action ${action}`);
  if (NUMBERED.has(action)) return value + ((errnoRet ?? EPERM) & 0xffff);
  if (typeof errnoRet === 'number') refuse(errnoField, `${action} has no errno`);
  return value;
}

/**
 * What is returned for system calls that are newer than the profile; undefined where the default
 * action is fine.
 *
 * A C library tries a new call and falls back to an old one on ENOSYS, but not on EPERM, and not
 * when it is killed: that is how glibc 2.34's clone3 broke containers. So runc answers ENOSYS above
 * the highest number that the profile names, and so do we. Not if the default lets the call happen
 * anyway, or lets a tracer decide; and not if it is ENOSYS already.
 *
 * @see runc libcontainer/seccomp/patchbpf/enosys_linux.go, generatePatch; runc#2750
 */
export function returnForNewerCalls(profile: SeccompProfile): number | undefined {
  const { defaultAction, defaultErrnoRet } = profile;
  if (defaultErrnoRet === ENOSYS) return undefined;
  if (['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(defaultAction)) {
    return undefined;
  }
  return SECCOMP_RET_ERRNO + ENOSYS;
}

/** What a profile may ask for. NEW_LISTENER and TSYNC_ESRCH follow from it. */
export const FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};

/**
 * The flags for seccomp(2). A profile without `flags` gets SPEC_ALLOW (runc#3588 and crun do the
 * same): before Linux 5.16 a filter otherwise slows the program down by a mitigation that is of use
 * to programs which run foreign code.
 *
 * A profile that asks an agent makes the call return a listener; what the call returns with TSYNC
 * cannot be told from a thread then, so that the kernel wants TSYNC_ESRCH beside them. Without
 * one, WAIT_KILLABLE_RECV has no meaning and is left out, as libseccomp does.
 *
 * @throws {StrataError} INVALID_CONFIG
 */
export function filterFlags(profile: SeccompProfile): number {
  const names = profile.flags ?? ['SECCOMP_FILTER_FLAG_SPEC_ALLOW'];
  let flags = 0;
  names.forEach((name, index) => {
    const bit = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
    if (bit === undefined) refuse(`linux.seccomp.flags[${index}]`, `unknown flag ${name}`);
    flags |= bit;
  });
  if (!asksAgent(profile)) return flags & ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  const both = flags & SECCOMP_FILTER_FLAG_TSYNC ? SECCOMP_FILTER_FLAG_TSYNC_ESRCH : 0;
  return flags | SECCOMP_FILTER_FLAG_NEW_LISTENER | both;
}

/** Whether some system call is left to an agent to decide. */
export function asksAgent({ defaultAction, syscalls }: SeccompProfile): boolean {
  const asks = (action: string): boolean => action === 'SCMP_ACT_NOTIFY';
  return asks(defaultAction) || (syscalls ?? []).some(({ action }) => asks(action));
}
