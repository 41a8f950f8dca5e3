/**
 * What a container has used, as containerd's clients want to be told it: an `Any` of one of two
 * messages, for cgroups of version 1 or 2. Which one it is goes by where the memory controller is.
 */
import type { CgroupStats, DeviceIo, MemoryStats } from '@strata/namespaces';
import type { Any } from '../../ttrpc/envelope.ts';
import type { ValueOfMessage } from '../../ttrpc/message.ts';
import { METRICS_V1_TYPE, Metrics as MetricsV1 } from './v1-messages.ts';
import { MEMORY_STAT_FIELDS, METRICS_V2_TYPE, Metrics as MetricsV2 } from './v2-messages.ts';

type V1 = ValueOfMessage<typeof MetricsV1>;
type V2 = ValueOfMessage<typeof MetricsV2>;

/** What the kernel reports where there is no limit, on v1 and in containerd's messages for v2. */
const UNLIMITED_V1 = 2n ** 63n - 4096n;
const UNLIMITED_V2 = 2n ** 64n - 1n;

const big = (count: number | undefined): bigint => BigInt(Math.trunc(count ?? 0));

/** @param version of the hierarchy that the memory controller is in */
export function metricsOf(stats: CgroupStats, version: 1 | 2): ValueOfMessage<typeof Any> {
  if (version === 1) return { typeUrl: METRICS_V1_TYPE, value: MetricsV1.encode(metricsV1(stats)) };
  return { typeUrl: METRICS_V2_TYPE, value: MetricsV2.encode(metricsV2(stats)) };
}

function metricsV1(stats: CgroupStats): Partial<V1> {
  const { pids, cpu, memory, io, hugePages = [], rdma } = stats;
  return {
    hugetlb: hugePages.map(({ usage, limitHits, pageSize }) => ({
      usage: big(usage),
      max: 0n,
      failcnt: big(limitHits),
      pagesize: pageSize,
    })),
    pids: pids && { current: big(pids.current), limit: big(pids.limit) },
    cpu: cpu && {
      usage: {
        total: big(cpu.usageNs),
        kernel: big(cpu.systemNs),
        user: big(cpu.userNs),
        perCpu: (cpu.perCpuNs ?? []).map(big),
      },
      throttling: {
        periods: big(cpu.throttling?.periods),
        throttledPeriods: big(cpu.throttling?.throttledPeriods),
        throttledTime: big(cpu.throttling?.throttledNs),
      },
    },
    memory: memory && (memoryV1(memory) as V1['memory']),
    blkio: io && {
      ioServiceBytesRecursive: io.devices.flatMap((device) =>
        operations(device, { Read: device.readBytes, Write: device.writeBytes }),
      ),
      ioServicedRecursive: io.devices.flatMap((device) =>
        operations(device, { Read: device.reads, Write: device.writes }),
      ),
    },
    rdma: rdma && { current: rdma, limit: [] },
    memoryOomControl: memory && {
      oomKillDisable: 0n,
      underOom: 0n,
      oomKill: big(memory.events.oom_kill),
    },
  };
}

/** The kernel's names of what memory.stat says on v1, by containerd's. */
const MEMORY_V1 = {
  cache: 'cache',
  rss: 'rss',
  rssHuge: 'rss_huge',
  mappedFile: 'mapped_file',
  dirty: 'dirty',
  writeback: 'writeback',
  pgPgIn: 'pgpgin',
  pgPgOut: 'pgpgout',
  pgFault: 'pgfault',
  pgMajFault: 'pgmajfault',
  inactiveAnon: 'inactive_anon',
  activeAnon: 'active_anon',
  inactiveFile: 'inactive_file',
  activeFile: 'active_file',
  unevictable: 'unevictable',
} as const;

function memoryV1(memory: MemoryStats): Record<string, unknown> {
  const { fields, usage, limit, peak, limitHits, swap, kernel } = memory;
  const values: Record<string, unknown> = {};
  for (const [name, kernelName] of Object.entries(MEMORY_V1)) {
    const value = big(fields[kernelName]);
    values[name] = value;
    values[`total${name[0]!.toUpperCase()}${name.slice(1)}`] = value;
  }
  const bound = (value: number | undefined): bigint =>
    value === undefined ? UNLIMITED_V1 : big(value);
  return {
    ...values,
    hierarchicalMemoryLimit: bound(fields.hierarchical_memory_limit ?? limit),
    hierarchicalSwapLimit: bound(fields.hierarchical_memsw_limit),
    usage: { limit: bound(limit), usage: big(usage), max: big(peak), failcnt: big(limitHits) },
    // Of memory and swap together, as the kernel counts it on v1.
    swap: swap && {
      limit: bound(swap.limit === undefined ? undefined : swap.limit + (limit ?? 0)),
      usage: big(swap.usage + usage),
      max: 0n,
      failcnt: 0n,
    },
    kernel:
      kernel === undefined
        ? undefined
        : { limit: UNLIMITED_V1, usage: big(kernel), max: 0n, failcnt: 0n },
  };
}

function operations({ device }: DeviceIo, values: Record<string, number>) {
  const [major, minor] = deviceNumbers(device);
  return Object.entries(values).map(([op, value]) => ({
    op,
    device: '',
    major,
    minor,
    value: big(value),
  }));
}

function deviceNumbers(device: string): [bigint, bigint] {
  const [major = '0', minor = '0'] = device.split(':');
  return [BigInt(major), BigInt(minor)];
}

function metricsV2(stats: CgroupStats): Partial<V2> {
  const { pids, cpu, memory, io, hugePages = [], rdma } = stats;
  const microseconds = (nanoseconds: number | undefined): bigint => big((nanoseconds ?? 0) / 1000);
  const events = memory?.events;
  return {
    pids: pids && { current: big(pids.current), limit: big(pids.limit) },
    cpu: cpu && {
      usageUsec: microseconds(cpu.usageNs),
      userUsec: microseconds(cpu.userNs),
      systemUsec: microseconds(cpu.systemNs),
      nrPeriods: big(cpu.throttling?.periods),
      nrThrottled: big(cpu.throttling?.throttledPeriods),
      throttledUsec: microseconds(cpu.throttling?.throttledNs),
    },
    memory: memory && memoryV2(memory),
    rdma: rdma && { current: rdma, limit: [] },
    io: io && {
      usage: io.devices.map(({ device, readBytes, writeBytes, reads, writes }) => {
        const [major, minor] = deviceNumbers(device);
        const [rbytes, wbytes, rios, wios] = [readBytes, writeBytes, reads, writes].map(big);
        return { major, minor, rbytes: rbytes!, wbytes: wbytes!, rios: rios!, wios: wios! };
      }),
    },
    hugetlb: hugePages.map(({ usage, limit, pageSize }) => ({
      current: big(usage),
      max: limit === undefined ? UNLIMITED_V2 : big(limit),
      pagesize: pageSize,
    })),
    memoryEvents: events && {
      low: big(events.low),
      high: big(events.high),
      max: big(events.max),
      oom: big(events.oom),
      oomKill: big(events.oom_kill),
    },
  };
}

function memoryV2({ fields, usage, limit, peak, swap }: MemoryStats): NonNullable<V2['memory']> {
  const kernelName = (name: string): string =>
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const stat = Object.keys(MEMORY_STAT_FIELDS).map((name) => [name, big(fields[kernelName(name)])]);
  const bound = (value: number | undefined): bigint =>
    value === undefined ? UNLIMITED_V2 : big(value);
  return {
    ...(Object.fromEntries(stat) as Record<keyof typeof MEMORY_STAT_FIELDS, bigint>),
    usage: big(usage),
    usageLimit: bound(limit),
    swapUsage: big(swap?.usage),
    swapLimit: bound(swap?.limit),
    maxUsage: big(peak),
  };
}
