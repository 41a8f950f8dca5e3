/**
 * The five sets of a process, and how they may change.
 *
 *   bounding     what execve can ever give; drops are for good
 *   permitted    what the process may make effective; can only shrink
 *   effective    what counts now; within permitted
 *   inheritable  what a file's inheritable set may pass on
 *   ambient      what execve of an ordinary file keeps; within permitted and inheritable
 *
 *   after execve:   permitted' = (inheritable & file.inheritable) | (file.permitted & bounding) | ambient'
 *
 * @see capabilities(7), "Transformation of capabilities during execve()"
 */
import { readFileSync } from 'node:fs';
import { EPERM, ESRCH } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import {
  type CapabilityState,
  capabilityNames,
  lastCapability,
  parseCapabilityState,
} from './capabilities.ts';

const has = (set: bigint, number: number): boolean => ((set >> BigInt(number)) & 1n) === 1n;
const known = (): bigint => (1n << BigInt(lastCapability() + 1)) - 1n;

/**
 * The five sets of any process, without a privilege.
 * @throws {StrataError} ESRCH where there is no such process
 * @see proc_pid_status(5)
 */
export function readCapabilities(pid: number | 'self' = 'self'): CapabilityState {
  return parseCapabilityState(readStatus(pid));
}

function readStatus(pid: number | 'self'): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch (cause) {
    if (errnoOf(cause) === undefined) throw cause;
    throw new StrataError('ESRCH', `no process ${pid}`, { errno: ESRCH, cause });
  }
}

/**
 * The five sets of the process that executes `sys`, by system calls alone: it needs no /proc.
 * It takes two calls for each capability.
 */
export function getCapabilities(sys: Syscalls): CapabilityState {
  let bounding = 0n;
  let ambient = 0n;
  for (let number = 0; number <= lastCapability(); number++) {
    if (sys.hasBoundingCapability(number)) bounding |= 1n << BigInt(number);
    if (sys.hasAmbientCapability(number)) ambient |= 1n << BigInt(number);
  }
  return { ...sys.capget(), bounding, ambient };
}

/**
 * Gives the process that executes `sys` the five sets, in the order the kernel demands: inheritable,
 * bounding (needs CAP_SETPCAP), then the three of capset(2), then ambient. What the bounding set has lost
 * already cannot come back.
 *
 * @throws {StrataError} INVALID_CAPABILITY_SETS where the sets contradict each other, before anything
 *   is changed
 * @throws {SyscallError} EPERM where the process lacks what it would need
 */
export function setCapabilities(sys: Syscalls, wanted: CapabilityState): void {
  checkCapabilitySets(wanted);
  // The bounding set limits what may be added to the inheritable one, so that comes first.
  sys.capset({ ...sys.capget(), inheritable: wanted.inheritable });
  for (let number = 0; number <= lastCapability(); number++) {
    if (has(wanted.bounding, number) || !sys.hasBoundingCapability(number)) continue;
    sys.dropBoundingCapability(number);
  }
  sys.capset(wanted);
  sys.clearAmbientCapabilities();
  for (let number = 0; number <= lastCapability(); number++) {
    if (has(wanted.ambient, number)) sys.raiseAmbientCapability(number);
  }
}

/** @throws {StrataError} INVALID_CAPABILITY_SETS naming the capabilities in the way */
export function checkCapabilitySets(sets: CapabilityState): void {
  const refuse = (extra: bigint, what: string): void => {
    if (extra === 0n) return;
    const names = capabilityNames(extra).join(', ');
    throw new StrataError('INVALID_CAPABILITY_SETS', `${what}: ${names}`, { errno: EPERM });
  };
  const { permitted, inheritable, effective, ambient } = sets;
  const all = permitted | inheritable | effective | ambient | sets.bounding;
  refuse(all & ~known(), 'the running kernel does not have');
  refuse(effective & ~permitted, 'effective and not permitted');
  refuse(ambient & ~permitted, 'ambient and not permitted');
  refuse(ambient & ~inheritable, 'ambient and not inheritable');
}
