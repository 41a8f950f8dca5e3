/** What the kernel counts arrives under containerd's names. */
import { expect, test } from 'vitest';
import { metricsOf } from './metrics.ts';
import { METRICS_V1_TYPE, Metrics as V1 } from './v1-messages.ts';
import { METRICS_V2_TYPE, Metrics as V2 } from './v2-messages.ts';

const stats = {
  pids: { current: 3, limit: 77 },
  cpu: {
    usageNs: 5_000_000,
    userNs: 3_000_000,
    systemNs: 2_000_000,
    perCpuNs: [1, 2],
    throttling: { periods: 9, throttledPeriods: 4, throttledNs: 8000 },
  },
  memory: {
    usage: 4096,
    workingSet: 1024,
    limit: 65_536,
    peak: 8192,
    limitHits: 2,
    swap: { usage: 100 },
    fields: { cache: 1, rss_huge: 2, pgpgin: 3, anon: 4, kernel_stack: 5, thp_collapse_alloc: 6 },
    events: { oom_kill: 7, high: 8 },
  },
  io: {
    devices: [
      {
        device: '8:16',
        ...{ readBytes: 10, writeBytes: 20, reads: 1, writes: 2 },
        ...{ discardBytes: 0, discards: 0 },
      },
    ],
  },
  hugePages: [{ pageSize: '2MB', usage: 0, limitHits: 0 }],
  rdma: [{ device: 'mlx5_0', hcaHandles: 2, hcaObjects: 2000 }],
};

test('version 1', () => {
  const { typeUrl, value } = metricsOf(stats, 1);
  expect(typeUrl).toBe(METRICS_V1_TYPE);
  expect(V1.decode(value)).toMatchObject({
    pids: { current: 3n, limit: 77n },
    cpu: {
      usage: { total: 5_000_000n, kernel: 2_000_000n, user: 3_000_000n, perCpu: [1n, 2n] },
      throttling: { periods: 9n, throttledPeriods: 4n, throttledTime: 8000n },
    },
    memory: {
      ...{ cache: 1n, totalCache: 1n, rssHuge: 2n, totalRssHuge: 2n, pgPgIn: 3n },
      usage: { limit: 65_536n, usage: 4096n, max: 8192n, failcnt: 2n },
      swap: { usage: 4196n },
    },
    blkio: {
      ioServiceBytesRecursive: [
        { op: 'Read', major: 8n, minor: 16n, value: 10n },
        { op: 'Write', major: 8n, minor: 16n, value: 20n },
      ],
    },
    hugetlb: [{ pagesize: '2MB' }],
    rdma: { current: [{ device: 'mlx5_0', hcaObjects: 2000 }] },
    memoryOomControl: { oomKill: 7n },
  });
});

test('version 2', () => {
  const { typeUrl, value } = metricsOf(stats, 2);
  expect(typeUrl).toBe(METRICS_V2_TYPE);
  expect(V2.decode(value)).toMatchObject({
    pids: { current: 3n, limit: 77n },
    cpu: { usageUsec: 5000n, userUsec: 3000n, nrThrottled: 4n, throttledUsec: 8n },
    memory: {
      ...{ anon: 4n, kernelStack: 5n, thpCollapseAlloc: 6n, usage: 4096n, usageLimit: 65_536n },
      ...{ swapUsage: 100n, swapLimit: 2n ** 64n - 1n, maxUsage: 8192n },
    },
    io: { usage: [{ major: 8n, minor: 16n, rbytes: 10n, wios: 2n }] },
    hugetlb: [{ pagesize: '2MB', max: 2n ** 64n - 1n }],
    memoryEvents: { high: 8n, oomKill: 7n },
  });
});

test('what no controller counts is left out', () => {
  expect(V1.decode(metricsOf({}, 1).value)).toMatchObject({ memory: undefined, cpu: undefined });
});
