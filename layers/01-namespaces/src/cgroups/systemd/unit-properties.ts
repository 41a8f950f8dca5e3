/**
 * The limits of the OCI spec as properties of a systemd unit.
 *
 *   memory.limit        MemoryMax              cpu.shares        CPUWeight
 *   memory.reservation  MemoryLow              cpu.quota/period  CPUQuotaPerSecUSec, CPUQuotaPeriodUSec
 *   memory.swap         MemorySwapMax          cpu.cpus, mems    AllowedCPUs, AllowedMemoryNodes
 *   pids.limit          TasksMax               blockIO.*         IOWeight, IODeviceWeight, IO…Max
 *
 * systemd writes its own idea of a unit into the cgroup whenever it is reloaded, so it has to be told
 * what it knows words for. What it knows none for (burst, hugetlb, rdma, the devices' eBPF program, most
 * of `unified`) is only written to the cgroup, which systemd then leaves alone.
 *
 * @see systemd.resource-control(5), org.freedesktop.systemd1(5)
 */
import { StrataError } from '../../errors/strata-error.ts';
import { type CgroupResources, RESOURCES_FIELD } from '../resources.ts';
import { weightOfShares } from '../v2/cpu.ts';
import { ioWeight } from '../v2/io.ts';

/** A property's name, the D-Bus signature of its value, the value. */
export type UnitProperty = readonly [name: string, signature: string, value: unknown];

/** systemd's word for "no limit": 2^64 - 1. */
const INFINITY = 2n ** 64n - 1n;
const US_PER_S = 1_000_000;
/** systemd keeps a quota in percent of a CPU: below a full one it would round down. */
const QUOTA_STEP_US = 10_000;
const DEFAULT_PERIOD_US = 100_000;
const HIGHEST_CPU = 8191;

/**
 * What systemd is told of the limits; what is not given is not named.
 * @throws {StrataError} INVALID_CONFIG for a list of CPUs or nodes that is none
 */
export function limitProperties(resources: CgroupResources): UnitProperty[] {
  return [
    ...memoryProperties(resources.memory),
    ...cpuProperties(resources.cpu),
    ...amount('TasksMax', resources.pids?.limit),
    ...ioProperties(resources.blockIO),
  ];
}

function memoryProperties(memory: CgroupResources['memory'] = {}): UnitProperty[] {
  const { limit, reservation, swap } = memory;
  // The spec's swap includes memory. That it is not less is checked where the file is written.
  const swapAlone = swap && swap > 0 ? Math.max(swap - (limit ?? 0), 0) : swap;
  return [
    ...amount('MemoryMax', limit),
    ...amount('MemoryLow', reservation),
    ...(swap ? amount('MemorySwapMax', swapAlone, { zero: true }) : []),
  ];
}

function cpuProperties(cpu: CgroupResources['cpu'] = {}): UnitProperty[] {
  const { shares, idle, quota, period, cpus, mems } = cpu;
  const weight = idle === 1 ? 0 : shares && weightOfShares(shares);
  return [
    ...(weight === undefined ? [] : [property('CPUWeight', 't', BigInt(weight))]),
    ...(period ? [property('CPUQuotaPeriodUSec', 't', BigInt(period))] : []),
    ...(quota ? [property('CPUQuotaPerSecUSec', 't', quotaPerSecond(quota, period))] : []),
    ...(cpus ? [property('AllowedCPUs', 'ay', bitMask(cpus, 'cpu.cpus'))] : []),
    ...(mems ? [property('AllowedMemoryNodes', 'ay', bitMask(mems, 'cpu.mems'))] : []),
  ];
}

function ioProperties(blockIO: CgroupResources['blockIO'] = {}): UnitProperty[] {
  const weights = (blockIO.weightDevice ?? []).flatMap(({ major, minor, weight }) =>
    weight ? [[deviceNode(major, minor), BigInt(ioWeight(weight))]] : [],
  );
  const throttles = THROTTLES.flatMap(([key, name]) => {
    const rates = (blockIO[key] ?? []).map(({ major, minor, rate }) => [
      deviceNode(major, minor),
      rate ? BigInt(rate) : INFINITY,
    ]);
    return rates.length > 0 ? [property(name, 'a(st)', rates)] : [];
  });
  return [
    ...(blockIO.weight ? [property('IOWeight', 't', BigInt(ioWeight(blockIO.weight)))] : []),
    ...(weights.length > 0 ? [property('IODeviceWeight', 'a(st)', weights)] : []),
    ...throttles,
  ];
}

const THROTTLES = [
  ['throttleReadBpsDevice', 'IOReadBandwidthMax'],
  ['throttleWriteBpsDevice', 'IOWriteBandwidthMax'],
  ['throttleReadIOPSDevice', 'IOReadIOPSMax'],
  ['throttleWriteIOPSDevice', 'IOWriteIOPSMax'],
] as const;

/** systemd wants a path; udev keeps one for the numbers of every device. */
const deviceNode = (major: number, minor: number): string => `/dev/block/${major}:${minor}`;

const property = (name: string, signature: string, value: unknown): UnitProperty => [
  name,
  signature,
  value,
];

/** 0 is "not given" in the spec, less is "no limit". */
function amount(name: string, value: number | undefined, { zero = false } = {}): UnitProperty[] {
  if (value === undefined || (value === 0 && !zero)) return [];
  return [property(name, 't', value < 0 ? INFINITY : BigInt(value))];
}

/** Rounded up to a hundredth of a CPU, as runc does: a child may ask for what the parent has. */
function quotaPerSecond(quota: number, period: number | undefined): bigint {
  if (quota < 0) return INFINITY;
  const us = (quota * US_PER_S) / (period || DEFAULT_PERIOD_US);
  return BigInt(Math.max(Math.ceil(us / QUOTA_STEP_US), 1) * QUOTA_STEP_US);
}

/** `0-2,4` → the bits 0, 1, 2 and 4, least significant byte first. */
export function bitMask(list: string, name: string): Buffer {
  const field = `${RESOURCES_FIELD}.${name}`;
  const bits = new Set<number>();
  for (const part of list.trim().split(',')) {
    const [, first, last = first] = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (!(from <= to && to <= HIGHEST_CPU)) {
      const message = `${field}: ${JSON.stringify(list)} is no list such as 0-2,4`;
      throw new StrataError('INVALID_CONFIG', message, { field });
    }
    for (let bit = from; bit <= to; bit++) bits.add(bit);
  }
  const mask = Buffer.alloc(Math.floor(Math.max(...bits) / 8) + 1);
  for (const bit of bits) mask[bit >> 3]! |= 1 << (bit & 7);
  return mask;
}
