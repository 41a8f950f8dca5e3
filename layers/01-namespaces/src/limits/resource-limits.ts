/** Resource limits: names, numbers, and the spec's list as calls' arguments. @see getrlimit(2) */
import { StrataError } from '../errors/strata-error.ts';
import type { ResourceLimit } from '../syscalls/process-calls.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

/** In the order of their numbers, from 0. */
export const RESOURCE_LIMIT_NAMES: readonly string[] = [
  'RLIMIT_CPU',
  'RLIMIT_FSIZE',
  'RLIMIT_DATA',
  'RLIMIT_STACK',
  'RLIMIT_CORE',
  'RLIMIT_RSS',
  'RLIMIT_NPROC',
  'RLIMIT_NOFILE',
  'RLIMIT_MEMLOCK',
  'RLIMIT_AS',
  'RLIMIT_LOCKS',
  'RLIMIT_SIGPENDING',
  'RLIMIT_MSGQUEUE',
  'RLIMIT_NICE',
  'RLIMIT_RTPRIO',
  'RLIMIT_RTTIME',
];

const TWO_TO_64 = 2 ** 64;

/** No limit. @see getrlimit(2) */
export const RLIM_INFINITY = 2n ** 64n - 1n;

/**
 * The spec's `process.rlimits`.
 * @throws {StrataError} INVALID_CONFIG naming the entry: unknown or repeated type, a value
 *   that is not an unsigned 64-bit number, soft above hard
 */
export function parseResourceLimits(
  entries: readonly { type: string; soft: number; hard: number }[],
): ResourceLimit[] {
  const seen = new Set<string>();
  return entries.map(({ type, soft, hard }, index) => {
    const field = `process.rlimits[${index}]`;
    const resource = RESOURCE_LIMIT_NAMES.indexOf(type);
    const refuse = (why: string): never => {
      throw new StrataError('INVALID_CONFIG', `${field}: ${why}`, { field });
    };
    if (resource < 0) refuse(`unknown type ${JSON.stringify(type)}`);
    if (seen.has(type)) refuse(`${type} is given twice`);
    seen.add(type);
    for (const value of [soft, hard]) {
      if (!Number.isInteger(value) || value < 0 || value > TWO_TO_64) {
        refuse(`${value} is not an unsigned 64-bit number`);
      }
    }
    const limit = { resource, soft: toLimit(soft), hard: toLimit(hard) };
    if (limit.soft > limit.hard) refuse(`soft ${soft} is above hard ${hard}`);
    return limit;
  });
}

/** JSON's 18446744073709551615 is a double that rounds to 2^64: infinity. */
const toLimit = (value: number): bigint => (value === TWO_TO_64 ? RLIM_INFINITY : BigInt(value));

/** The name of a limit's number, or `RLIMIT_16` for one that is not known here. */
export const resourceName = (resource: number): string =>
  RESOURCE_LIMIT_NAMES[resource] ?? `RLIMIT_${resource}`;

/**
 * All limits of a process.
 * @param pid 0 for the one that executes `sys`
 * @throws {SyscallError} EPERM for another user's process without CAP_SYS_RESOURCE, ESRCH
 * @see prlimit(2)
 */
export function getResourceLimits(sys: Syscalls, pid = 0): ResourceLimit[] {
  return RESOURCE_LIMIT_NAMES.map((_, resource) => sys.prlimit(pid, resource));
}

/** `1024` or `unlimited`. */
export const formatLimit = (value: bigint): string =>
  value === RLIM_INFINITY ? 'unlimited' : String(value);
