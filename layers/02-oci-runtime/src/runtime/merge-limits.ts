/** Limits of before and a change of them. What the change leaves out stays as it is. */
import type { LinuxResources } from '../config/spec.ts';

type BlockIO = NonNullable<LinuxResources['blockIO']>;

/** The limits after the change: a list of devices or pages is changed entry by entry. */
export function mergeLimits(before: LinuxResources, change: LinuxResources): LinuxResources {
  const { memory, cpu, pids, blockIO, hugepageLimits, network, rdma, unified } = change;
  return {
    ...before,
    ...(memory && { memory: { ...before.memory, ...memory } }),
    ...(cpu && { cpu: { ...before.cpu, ...cpu } }),
    ...(pids && { pids: { ...before.pids, ...pids } }),
    ...(blockIO && { blockIO: mergeBlockIO(before.blockIO ?? {}, blockIO) }),
    ...(hugepageLimits && {
      hugepageLimits: mergeList(before.hugepageLimits, hugepageLimits, ({ pageSize }) => pageSize),
    }),
    ...(network && {
      network: {
        ...before.network,
        ...network,
        ...(network.priorities && {
          priorities: mergeList(before.network?.priorities, network.priorities, ({ name }) => name),
        }),
      },
    }),
    ...(rdma && { rdma: mergeRdma(before.rdma ?? {}, rdma) }),
    ...(unified && { unified: { ...before.unified, ...unified } }),
  };
}

function mergeBlockIO(before: BlockIO, change: BlockIO): BlockIO {
  const lists = DEVICE_LISTS.flatMap((name) => {
    const list = change[name];
    if (!list) return [];
    const device = ({ major, minor }: { major: number; minor: number }) => `${major}:${minor}`;
    return [[name, mergeList<{ major: number; minor: number }>(before[name], list, device)]];
  });
  return { ...before, ...change, ...Object.fromEntries(lists) };
}

const DEVICE_LISTS = [
  'weightDevice',
  'throttleReadBpsDevice',
  'throttleWriteBpsDevice',
  'throttleReadIOPSDevice',
  'throttleWriteIOPSDevice',
] as const;

function mergeList<T extends object>(
  before: readonly T[] = [],
  change: readonly T[],
  keyOf: (entry: T) => string,
): T[] {
  const merged = new Map(before.map((entry) => [keyOf(entry), entry]));
  for (const entry of change) {
    merged.set(keyOf(entry), { ...merged.get(keyOf(entry)), ...entry });
  }
  return [...merged.values()];
}

type Rdma = NonNullable<LinuxResources['rdma']>;

const mergeRdma = (before: Rdma, change: Rdma): Rdma => ({
  ...before,
  ...Object.fromEntries(
    Object.entries(change).map(([device, limits]) => [device, { ...before[device], ...limits }]),
  ),
});

/**
 * What has to be written for a change: what it names, and what is one limit together with that.
 *
 *   memory.limit, memory.swap     v2 keeps swap alone, the specification both together
 *   cpu.quota, cpu.period         one file of v2
 *   cpu.idle 0                    v2 forgets the weight of a cgroup that was idle
 */
export function limitsToWrite(merged: LinuxResources, change: LinuxResources): LinuxResources {
  const { memory, cpu } = change;
  return {
    ...change,
    ...(memory && {
      memory: withPartners(memory, merged.memory!, [
        ['limit', 'swap'],
        ['swap', 'limit'],
      ]),
    }),
    ...(cpu && {
      cpu: withPartners(cpu, merged.cpu!, [
        ['quota', 'period'],
        ['period', 'quota'],
        ...(cpu.idle === 0 ? [['idle', 'shares'] as const] : []),
      ]),
    }),
  };
}

function withPartners<T extends object>(
  change: T,
  merged: T,
  partners: readonly (readonly [given: keyof T, partner: keyof T])[],
): T {
  const written = { ...change };
  for (const [given, partner] of partners) {
    if (change[given] === undefined || merged[partner] === undefined) continue;
    written[partner] = merged[partner];
  }
  return written;
}
