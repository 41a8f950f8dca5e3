/**
 * Limits as the OCI runtime-spec has them (`linux.resources`), and the notation in which the
 * controllers below say what they write.
 *
 * @see runtime-spec config-linux.md#control-groups
 */
import { StrataError } from '../errors/strata-error.ts';

export interface CgroupResources {
  devices?: readonly DeviceRule[];
  memory?: {
    /** Bytes; -1 is no limit. */
    limit?: number;
    /** Bytes that are reclaimed last. */
    reservation?: number;
    /** Bytes of memory and swap together; -1 is no limit. */
    swap?: number;
    /** 0 to 100 (200 since Linux 5.8). v1 only. */
    swappiness?: number;
    /** v1 only. */
    disableOOMKiller?: boolean;
    /** Bytes of TCP buffers. v1 only; on v2 they count as memory. */
    kernelTCP?: number;
    /** Deprecated by the spec, and taken out of Linux 5.16: has no effect. */
    kernel?: number;
    /** Deprecated: a memory cgroup always counts those below it. Has no effect. */
    useHierarchy?: boolean;
    /** Refuse a limit below what is in use instead of killing to get there. */
    checkBeforeUpdate?: boolean;
  };
  cpu?: {
    /** 2 to 262144, 1024 unless given: the part of a busy processor compared to siblings. */
    shares?: number;
    /** Microseconds of processor time per period; -1 is no limit. */
    quota?: number;
    /** Microseconds of unused quota that may be saved up. */
    burst?: number;
    /** Microseconds. */
    period?: number;
    /** Microseconds per realtimePeriod for SCHED_FIFO and SCHED_RR. v1 only. */
    realtimeRuntime?: number;
    realtimePeriod?: number;
    /** `0-3,6` */
    cpus?: string;
    mems?: string;
    /** 1: runs only when nobody else wants to (SCHED_IDLE for the whole cgroup). */
    idle?: number;
  };
  /** Tasks, threads included; 0 and less are no limit. */
  pids?: { limit?: number };
  blockIO?: {
    weight?: number;
    leafWeight?: number;
    weightDevice?: readonly WeightDevice[];
    throttleReadBpsDevice?: readonly ThrottleDevice[];
    throttleWriteBpsDevice?: readonly ThrottleDevice[];
    throttleReadIOPSDevice?: readonly ThrottleDevice[];
    throttleWriteIOPSDevice?: readonly ThrottleDevice[];
  };
  hugepageLimits?: readonly { pageSize: string; limit: number }[];
  /** v1 only. */
  network?: {
    classID?: number;
    priorities?: readonly { name: string; priority: number }[];
  };
  rdma?: Readonly<Record<string, { hcaHandles?: number; hcaObjects?: number }>>;
  /** v2 files by their names. */
  unified?: Readonly<Record<string, string>>;
}

export interface DeviceRule {
  allow: boolean;
  /** 'a' (all, the default), 'c' or 'u' (character), 'b' (block), 'p' (FIFO: never limited). */
  type?: string;
  /** Default: any. */
  major?: number;
  minor?: number;
  /** Of 'r', 'w', 'm'; default: all three. */
  access?: string;
}

export interface WeightDevice {
  major: number;
  minor: number;
  weight?: number;
  leafWeight?: number;
}

export interface ThrottleDevice {
  major: number;
  minor: number;
  rate: number;
}

/** One write into a cgroup: the file, the text, and the field of the spec it comes from. */
export interface CgroupWrite {
  file: string;
  value: string;
  field: string;
  /** What is written where the kernel does not have `file`. */
  otherwise?: { file: string; value: string };
  /** Nothing is lost where the kernel does not have the file. */
  isOptional?: true;
}

/** What a controller makes of the limits. Nothing where none of them is its own. */
export type Controller = (resources: CgroupResources) => CgroupWrite[];

export const RESOURCES_FIELD = 'linux.resources';

/** A write, where the value is given. */
export function write(
  file: string,
  value: number | string | undefined,
  field: string,
): CgroupWrite[] {
  if (value === undefined) return [];
  return [{ file, value: String(value), field: `${RESOURCES_FIELD}.${field}` }];
}

/** @throws {StrataError} CGROUP_LIMIT where a value is given that this version of cgroups cannot have */
export function unsupported(value: unknown, field: string, why: string): [] {
  if (value === undefined) return [];
  throw invalidLimit(field, why);
}

/** The error of a limit that is refused before anything is written. */
export function invalidLimit(field: string, why: string): StrataError {
  const path = `${RESOURCES_FIELD}.${field}`;
  return new StrataError('CGROUP_LIMIT', `${path}: ${why}`, { field: path });
}

/**
 * Refuses a name that would be more than one word of a line, or another file.
 * @throws {StrataError} CGROUP_LIMIT
 */
export function checkName(name: string, pattern: RegExp, field: string): void {
  if (!pattern.test(name)) throw invalidLimit(field, `${JSON.stringify(name)} is not a valid name`);
}

/** Writes of a list with one entry for each device; `describe` gets the device as `8:0`. */
export function perDevice<T extends { major: number; minor: number }>(
  list: readonly T[] | undefined,
  field: string,
  describe: (entry: T, device: string) => { file: string; value: string } | undefined,
): CgroupWrite[] {
  return (list ?? []).flatMap((entry, index) => {
    const { file, value } = describe(entry, `${entry.major}:${entry.minor}`) ?? {};
    return file === undefined ? [] : write(file, value, `${field}[${index}]`);
  });
}

/**
 * Devices that every container may use, whatever its rules: making nodes (which opens nothing), and
 * the devices that the spec puts into every container.
 *
 * @see runtime-spec config-linux.md#default-devices
 */
export const DEFAULT_DEVICE_RULES: readonly PlainDeviceRule[] = [
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' }, // null
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' }, // zero
  { allow: true, type: 'c', major: 1, minor: 7, access: 'rwm' }, // full
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' }, // random
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' }, // urandom
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' }, // tty
  { allow: true, type: 'c', major: 5, minor: 2, access: 'rwm' }, // ptmx
  { allow: true, type: 'c', major: 136, access: 'rwm' }, // pts/*
];

/** Left out or negative: any. */
export const isAny = (number: number | undefined): boolean => number === undefined || number < 0;

/** A rule in one notation: of type 'a', 'c' or 'b', with its access spelt out. */
export interface PlainDeviceRule extends DeviceRule {
  type: 'a' | 'b' | 'c';
  access: string;
}

/** The rule in one notation; undefined for a FIFO, which no cgroup limits. */
export function plainDeviceRule(rule: DeviceRule): PlainDeviceRule | undefined {
  const type = TYPES[rule.type || 'a'];
  if (type === undefined) return undefined;
  const asked = rule.access || ALL_ACCESS;
  const access = [...ALL_ACCESS].filter((letter) => asked.includes(letter)).join('');
  return { ...rule, type, access };
}

const TYPES: Readonly<Record<string, 'a' | 'b' | 'c'>> = { a: 'a', b: 'b', c: 'c', u: 'c' };
export const ALL_ACCESS = 'rwm';

/** Whether a rule speaks of every device and access, as the deny-all does that lists begin with. */
export function isForAll({ type, major, minor, access }: PlainDeviceRule): boolean {
  return type === 'a' && isAny(major) && isAny(minor) && access === ALL_ACCESS;
}
