/** Capabilities: names, numbers, and sets of them as bit masks. @see capabilities(7) */
import { readFileSync } from 'node:fs';
import { StrataError } from '../errors/strata-error.ts';

/** In the order of their numbers, from 0. */
const NAMES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

/** Name → number, of every capability there has been up to Linux 6.18. */
export const CAPABILITIES: Readonly<Record<string, number>> = Object.fromEntries(
  NAMES.map((name, number) => [name, number]),
);

let last: number | undefined;

/** The highest capability of the running kernel. @throws {StrataError} INVALID_PROC_FILE */
export function lastCapability(): number {
  last ??= parseLastCapability(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
  return last;
}

/** What /proc/sys/kernel/cap_last_cap says: the sets have 64 bits. */
export function parseLastCapability(text: string): number {
  if (/^\d{1,2}\n?$/.test(text) && Number(text) < 64) return Number(text);
  const message = `cap_last_cap says ${JSON.stringify(text)}, not a number up to 63`;
  throw new StrataError('INVALID_PROC_FILE', message);
}

/**
 * The names that are capabilities of the running kernel, in their order: for specs that may name more
 * than there are (runtime-spec: a runtime should warn and not fail).
 */
export function availableCapabilities(names: readonly string[]): string[] {
  return names.filter((name) => (capabilityNumber(name) ?? Infinity) <= lastCapability());
}

/**
 * A capability's number, or undefined for a name that is none. One that the running kernel has and
 * this table does not yet is called `CAP_41`.
 */
export function capabilityNumber(name: string): number | undefined {
  if (Object.hasOwn(CAPABILITIES, name)) return CAPABILITIES[name];
  const number = /^CAP_([1-9]\d?)$/.exec(name)?.[1];
  const isNew = number !== undefined && Number(number) >= NAMES.length;
  return isNew && Number(number) <= lastCapability() ? Number(number) : undefined;
}

/**
 * Names as a mask. Capabilities that are newer than the running kernel are left out: it could not
 * give them, and asking would make every call fail.
 *
 * @throws {StrataError} INVALID_CAPABILITY for a name that is none
 */
export function capabilityMask(names: readonly string[]): bigint {
  let mask = 0n;
  for (const name of names) {
    const number = capabilityNumber(name);
    if (number === undefined) {
      throw new StrataError('INVALID_CAPABILITY', `unknown capability ${JSON.stringify(name)}`, {
        hint: 'names are those of capabilities(7), such as CAP_NET_BIND_SERVICE',
      });
    }
    if (number <= lastCapability()) mask |= 1n << BigInt(number);
  }
  return mask;
}

/** The names in a mask; numbers without a name as `CAP_41`. */
export function capabilityNames(mask: bigint): string[] {
  const names: string[] = [];
  for (let number = 0; mask >> BigInt(number) > 0n; number++) {
    if ((mask >> BigInt(number)) & 1n) names.push(NAMES[number] ?? `CAP_${number}`);
  }
  return names;
}

export interface CapabilityState {
  inheritable: bigint;
  permitted: bigint;
  effective: bigint;
  bounding: bigint;
  ambient: bigint;
}

const STATUS_LINES: Record<keyof CapabilityState, string> = {
  inheritable: 'CapInh',
  permitted: 'CapPrm',
  effective: 'CapEff',
  bounding: 'CapBnd',
  ambient: 'CapAmb',
};

/** The five sets in the text of /proc/PID/status. @throws {StrataError} INVALID_STATUS_FILE */
export function parseCapabilityState(status: string): CapabilityState {
  const read = (line: string): bigint => {
    const match = new RegExp(`^${line}:\\s*([0-9a-f]{1,16})$`, 'm').exec(status);
    if (!match) throw new StrataError('INVALID_STATUS_FILE', `no line ${line} in a status file`);
    return BigInt(`0x${match[1]}`);
  };
  const entries = Object.entries(STATUS_LINES).map(([set, line]) => [set, read(line)]);
  return Object.fromEntries(entries) as CapabilityState;
}
