/**
 * The shape of `linux`, and the words it may use.
 *
 * @see runtime-spec config-linux.md
 */
import {
  encodeMemoryPolicy,
  encodePersonality,
  MEMORY_POLICY_FLAGS,
  MEMORY_POLICY_MODES,
} from '@strata/namespaces';
import {
  absolutePath,
  all,
  boolean,
  type Check,
  int64,
  integer,
  list,
  mapOf,
  nonEmptyText,
  object,
  oneOf,
  type Rule,
  straightPath,
  text,
  textLike,
  uint32,
  userId,
} from './checks.ts';
import { kernelTakes } from './kernel-takes.ts';
import { Problem, problemAt, shown } from './problem.ts';
import { numberList } from './shape-process.ts';
import { resources } from './shape-resources.ts';
import { seccomp } from './shape-seccomp.ts';
import type { Linux, LinuxDevice, LinuxIDMapping, LinuxNamespace, TimeOffset } from './spec.ts';

const NAMESPACES = ['pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time'];
const PROPAGATIONS = [
  ...['shared', 'slave', 'private', 'unbindable'],
  ...['rshared', 'rslave', 'rprivate', 'runbindable', ''],
];

/** Longest name of a network interface. @see netdevice(7) */
const INTERFACE_NAME_BYTES = 15;

const interfaceName: Check = (value) => {
  const problem = nonEmptyText(value);
  if (problem) return problem;
  const name = value as string;
  const valid = Buffer.byteLength(name) <= INTERFACE_NAME_BYTES && !/^\.{1,2}$|[/:%\s]/.test(name);
  return valid
    ? undefined
    : new Problem(`expected the name of a network interface, found ${shown(value)}`);
};

/** A name inside, or a template: the kernel puts a number for %d. An empty one is as good as none. */
const newInterfaceName: Check = (value) => {
  if (typeof value !== 'string') return text(value);
  return value === '' ? undefined : interfaceName(value.replace(/(?<=.)%d$/, '0'));
};

const eachNameOnce: Rule<NonNullable<Linux['netDevices']>> = (devices) => {
  const seen = new Set<string>();
  for (const [key, { name = '' }] of Object.entries(devices)) {
    const inside = name || key;
    if (seen.has(inside) && !inside.endsWith('%d')) {
      return problemAt([key, 'name'], `there is a device ${inside} already`);
    }
    seen.add(inside);
  }
  return undefined;
};

/** An empty path is as good as none: a new namespace. */
const namespacePath: Check = (value) => (value === '' ? undefined : absolutePath(value));

const namespace: Check = object<LinuxNamespace>({ type: oneOf(NAMESPACES), path: namespacePath }, [
  'type',
]);

const eachTypeOnce: Rule<LinuxNamespace[]> = (namespaces) => {
  const seen = new Set<string>();
  for (const [index, { type }] of namespaces.entries()) {
    if (seen.has(type)) {
      return problemAt([index, 'type'], `there is a ${type} namespace already`);
    }
    seen.add(type);
  }
  return undefined;
};

const UINT32_COUNT = 2 ** 32;

const withinIds: Rule<LinuxIDMapping> = ({ containerID, hostID, size }) =>
  Math.max(containerID, hostID) + size > UINT32_COUNT
    ? problemAt(['size'], `${size} ids do not fit below 2^32`)
    : undefined;

export const idMapping: Check = object<LinuxIDMapping>(
  { containerID: uint32, hostID: uint32, size: integer(1, 0xffff_ffff) },
  ['containerID', 'hostID', 'size'],
  withinIds,
);

const hasNumbers: Rule<LinuxDevice> = ({ type, major, minor }) => {
  if (type === 'p') return undefined;
  if (major === undefined) return problemAt(['major'], 'is required');
  return minor === undefined ? problemAt(['minor'], 'is required') : undefined;
};

const device: Check = object<LinuxDevice>(
  {
    type: oneOf(['c', 'b', 'u', 'p']),
    path: all(absolutePath, straightPath),
    major: integer(0, 0xfff),
    minor: integer(0, 0xf_ffff),
    fileMode: integer(0, 0o177777),
    uid: userId,
    gid: userId,
  },
  ['type', 'path'],
  hasNumbers,
);

const timeOffset: Check = object<TimeOffset>(
  { secs: int64, nanosecs: integer(0, 999_999_999) },
  [],
);

const intelRdt: Check = object<NonNullable<Linux['intelRdt']>>(
  {
    closID: textLike(/^(?!\.{1,2}$)[^/\n\0]*$/, 'a directory name'),
    schemata: list(text),
    l3CacheSchema: text,
    memBwSchema: text,
    enableMonitoring: boolean,
  },
  [],
);

export const linux: Check = object<Linux>(
  {
    namespaces: list(namespace, eachTypeOnce),
    uidMappings: list(idMapping),
    gidMappings: list(idMapping),
    timeOffsets: mapOf(oneOf(['monotonic', 'boottime']), timeOffset),
    devices: list(device),
    netDevices: mapOf(
      interfaceName,
      object<NonNullable<Linux['netDevices']>[string]>({ name: newInterfaceName }, []),
      eachNameOnce,
    ),
    cgroupsPath: (value) => (value === '' ? undefined : straightPath(value)),
    resources,
    rootfsPropagation: oneOf(PROPAGATIONS),
    seccomp,
    sysctl: mapOf(nonEmptyText, text),
    maskedPaths: list(all(absolutePath, straightPath)),
    readonlyPaths: list(all(absolutePath, straightPath)),
    mountLabel: text,
    personality: object<NonNullable<Linux['personality']>>(
      { domain: oneOf(['LINUX', 'LINUX32']), flags: list(text) },
      ['domain'],
      kernelTakes(encodePersonality),
    ),
    intelRdt,
    memoryPolicy: object<NonNullable<Linux['memoryPolicy']>>(
      {
        mode: oneOf(MEMORY_POLICY_MODES),
        nodes: numberList,
        flags: list(oneOf(MEMORY_POLICY_FLAGS)),
      },
      ['mode'],
      kernelTakes(encodeMemoryPolicy),
    ),
  },
  [],
);
