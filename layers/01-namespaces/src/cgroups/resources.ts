/**
 * Limits as the OCI runtime-spec has them (`linux.resources`), and the notation in which the
 * controllers below say what they write.
 *
 * @see runtime-spec config-linux.md#control-groups
 */
export interface CgroupResources {
  devices?: readonly DeviceRule[];
  memory?: {
    limit?: number;
    reservation?: number;
    swap?: number;
    swappiness?: number;
    disableOOMKiller?: boolean;
  };
  cpu?: {
    shares?: number;
    quota?: number;
    burst?: number;
    period?: number;
    realtimeRuntime?: number;
    realtimePeriod?: number;
    cpus?: string;
    mems?: string;
    idle?: number;
  };
  pids?: { limit?: number };
  blockIO?: {
    weight?: number;
    throttleReadBpsDevice?: readonly ThrottleDevice[];
    throttleWriteBpsDevice?: readonly ThrottleDevice[];
    throttleReadIOPSDevice?: readonly ThrottleDevice[];
    throttleWriteIOPSDevice?: readonly ThrottleDevice[];
  };
  hugepageLimits?: readonly { pageSize: string; limit: number }[];
  unified?: Readonly<Record<string, string>>;
}

export interface DeviceRule {
  allow: boolean;
  /** 'a' (default), 'c' or 'b'. */
  type?: string;
  /** Default: any. */
  major?: number;
  minor?: number;
  /** Of 'r', 'w', 'm'; default: all three. */
  access?: string;
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

/**
 * Devices that every container may use, whatever its rules: making nodes (which opens nothing), and
 * the devices that the spec puts into every container.
 *
 * @see runtime-spec config-linux.md#default-devices
 */
export const DEFAULT_DEVICE_RULES: readonly DeviceRule[] = [
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

/** Whether a rule speaks of every device, such as the deny-all that rule lists begin with. */
export function isForAll(rule: DeviceRule): boolean {
  const anyType = rule.type === undefined || rule.type === 'a';
  return anyType && isAny(rule.major) && isAny(rule.minor);
}

/** Left out or negative: any. */
export const isAny = (number: number | undefined): boolean => number === undefined || number < 0;
