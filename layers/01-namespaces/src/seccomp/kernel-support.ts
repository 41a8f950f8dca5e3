/**
 * What the running kernel's seccomp can do, found out by asking it.
 *
 *   flags      install a filter at address 0: a kernel that knows the flags gets as far as reading
 *              it (EFAULT), one that does not says EINVAL before
 *   actions    SECCOMP_GET_ACTION_AVAIL; but a kernel lets a filter return anything, and takes what
 *              it does not know for KILL_PROCESS
 *   structs    SECCOMP_GET_NOTIF_SIZES: what listeners are given may grow with the kernel
 *
 * @see seccomp(2)
 */
import { EFAULT, EOPNOTSUPP } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import {
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
  SECCOMP_GET_ACTION_AVAIL,
  SECCOMP_GET_NOTIF_SIZES,
  SECCOMP_SET_MODE_FILTER,
} from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { ACTIONS, FLAGS } from './actions.ts';

/** Whether the kernel knows all flags of this combination (SECCOMP_FILTER_FLAG_* bits). */
export function supportsFilterFlags(flags: number, sys: Syscalls = localSyscalls()): boolean {
  return sys.attempt('seccomp', SECCOMP_SET_MODE_FILTER, flags, null) === -EFAULT;
}

/** The flags a profile may have that the kernel knows, SECCOMP_FILTER_FLAG_*. */
export function supportedFlags(sys: Syscalls = localSyscalls()): string[] {
  return Object.entries(FLAGS)
    .filter(([, bit]) => supportsFilterFlags(bit + companionOf(bit), sys))
    .map(([name]) => name);
}

/** WAIT_KILLABLE_RECV is nothing without a listener, and refused alone. */
const companionOf = (bit: number): number =>
  bit === SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;

/** The actions the kernel knows, SCMP_ACT_*. */
export function supportedActions(sys: Syscalls = localSyscalls()): string[] {
  return Object.entries(ACTIONS)
    .filter(([, value]) => {
      const word = new Uint8Array(Uint32Array.of(value).buffer);
      return sys.attempt('seccomp', SECCOMP_GET_ACTION_AVAIL, 0, word) === 0;
    })
    .map(([name]) => name);
}

/**
 * Refuses a filter whose flags the kernel does not know, naming them: from the installation itself
 * there would be EINVAL, which may mean anything.
 *
 * @throws {StrataError} ENOTSUP with `field`
 */
export function requireFilterFlags(flags: number, sys: Syscalls = localSyscalls()): void {
  if (supportsFilterFlags(flags, sys)) return;
  const known = supportedFlags(sys);
  const missing = Object.entries(FLAGS)
    .filter(([name, bit]) => (flags & bit) !== 0 && !known.includes(name))
    .map(([name]) => name);
  const field = 'linux.seccomp.flags';
  const what = missing.join(', ') || `the combination 0x${flags.toString(16)}`;
  throw new StrataError('ENOTSUP', `${field}: the running kernel does not know ${what}`, {
    field,
    errno: EOPNOTSUPP,
    syscall: 'seccomp',
  });
}

/** Sizes in bytes of what a listener is given, what it answers, and struct seccomp_data within. */
export interface NotificationSizes {
  notification: number;
  response: number;
  data: number;
}

/**
 * @throws {SyscallError} EINVAL before Linux 5.0
 * @see seccomp(2), SECCOMP_GET_NOTIF_SIZES
 */
export function notificationSizes(sys: Syscalls = localSyscalls()): NotificationSizes {
  const sizes = new Uint16Array(3);
  sys.call('seccomp', SECCOMP_GET_NOTIF_SIZES, 0, new Out(new Uint8Array(sizes.buffer)));
  return { notification: sizes[0]!, response: sizes[1]!, data: sizes[2]! };
}
