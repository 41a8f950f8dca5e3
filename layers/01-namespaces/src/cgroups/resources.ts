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
    /** v1 only: v2 has no such switch. */
    disableOOMKiller?: boolean;
    /** v1 only; on v2 such buffers count as memory. */
    kernelTCP?: number;
    /** Refuse a limit below what is in use instead of killing to get there. */
    checkBeforeUpdate?: boolean;
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
