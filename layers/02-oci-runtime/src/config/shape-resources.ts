/**
 * The shape of `linux.resources`.
 *
 * @see runtime-spec config-linux.md#control-groups
 */
import {
  boolean,
  type Check,
  int64,
  integer,
  list,
  mapOf,
  nonEmptyText,
  object,
  oneOf,
  text,
  textLike,
  uint16,
  uint32,
  uint64,
} from './checks.ts';
import { numberList } from './shape-process.ts';
import type { DeviceRule, LinuxResources, ThrottleDevice, WeightDevice } from './spec.ts';

type Section<Name extends keyof LinuxResources> = NonNullable<LinuxResources[Name]>;

const deviceRule: Check = object<DeviceRule>(
  {
    allow: boolean,
    type: oneOf(['a', 'b', 'c', 'u', 'p', '']),
    major: int64,
    minor: int64,
    access: textLike(/^[rwm]{0,3}$/, 'of the letters r, w and m'),
  },
  ['allow'],
);

const memory: Check = object<Section<'memory'>>(
  {
    limit: int64,
    reservation: int64,
    swap: int64,
    kernel: int64,
    kernelTCP: int64,
    swappiness: uint64,
    disableOOMKiller: boolean,
    useHierarchy: boolean,
    checkBeforeUpdate: boolean,
  },
  [],
);

const cpu: Check = object<Section<'cpu'>>(
  {
    shares: uint64,
    quota: int64,
    burst: uint64,
    period: uint64,
    realtimeRuntime: int64,
    realtimePeriod: uint64,
    cpus: numberList,
    mems: numberList,
    idle: int64,
  },
  [],
);

const weightDevice: Check = object<WeightDevice>(
  { major: int64, minor: int64, weight: uint16, leafWeight: uint16 },
  ['major', 'minor'],
);

const throttleDevices: Check = list(
  object<ThrottleDevice>({ major: int64, minor: int64, rate: uint64 }, ['major', 'minor', 'rate']),
);

const blockIO: Check = object<Section<'blockIO'>>(
  {
    weight: uint16,
    leafWeight: uint16,
    weightDevice: list(weightDevice),
    throttleReadBpsDevice: throttleDevices,
    throttleWriteBpsDevice: throttleDevices,
    throttleReadIOPSDevice: throttleDevices,
    throttleWriteIOPSDevice: throttleDevices,
  },
  [],
);

const hugepageLimit: Check = object<Section<'hugepageLimits'>[number]>(
  {
    pageSize: textLike(/^[1-9]\d*[KMG]B$/, 'a page size such as 2MB'),
    limit: uint64,
  },
  ['pageSize', 'limit'],
);

const network: Check = object<Section<'network'>>(
  {
    classID: uint32,
    priorities: list(
      object<NonNullable<Section<'network'>['priorities']>[number]>(
        { name: nonEmptyText, priority: uint32 },
        ['name', 'priority'],
      ),
    ),
  },
  [],
);

/** The name of a file in a cgroup's directory: `memory.high`. */
const cgroupFile: Check = textLike(/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/, 'a file such as memory.high');

export const resources: Check = object<LinuxResources>(
  {
    devices: list(deviceRule),
    memory,
    cpu,
    pids: object<Section<'pids'>>({ limit: int64 }, []),
    blockIO,
    hugepageLimits: list(hugepageLimit),
    network,
    rdma: mapOf(
      nonEmptyText,
      object<Section<'rdma'>[string]>(
        { hcaHandles: integer(0, 0x7fff_ffff), hcaObjects: integer(0, 0x7fff_ffff) },
        [],
      ),
    ),
    unified: mapOf(cgroupFile, text),
  },
  [],
);
