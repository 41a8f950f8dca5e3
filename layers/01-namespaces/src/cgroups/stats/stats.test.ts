import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StrataError } from '../../errors/strata-error.ts';
import { parseKeyed, parseLimit, parseNested } from './parse.ts';
import { parsePressure } from './pressure.ts';
import { type CgroupStats, readStats } from './stats.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-stats-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

function files(contents: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(contents)) writeFileSync(join(directory, name), text);
}

const read = (version: 1 | 2): CgroupStats =>
  readStats(() => ({ version, directory }), version === 2 ? directory : undefined);

test('v2: microseconds become nanoseconds, the cache that can be dropped is no working set', () => {
  files({
    'cpu.stat': 'usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n',
    'memory.current': '10000\n',
    'memory.stat': 'anon 6000\ninactive_file 3000\nactive_file 1000\n',
    'memory.max': '65536\n',
    'pids.current': '3\n',
    'pids.max': '7\n',
  });
  expect(read(2)).toMatchObject({
    cpu: { usageNs: 1_500_000, userNs: 1_000_000, systemNs: 500_000 },
    memory: { usage: 10_000, workingSet: 7000, limit: 65_536 },
    pids: { current: 3, limit: 7 },
  });
});

test('v1: the cache of the cgroups below counts too', () => {
  files({
    'cpuacct.usage': '1500\n',
    'memory.usage_in_bytes': '10000\n',
    'memory.stat': 'inactive_file 1\ntotal_inactive_file 3000\n',
    'memory.limit_in_bytes': '65536\n',
  });
  expect(read(1)).toMatchObject({
    cpu: { usageNs: 1500 },
    memory: { usage: 10_000, workingSet: 7000, limit: 65_536 },
  });
});

test('no limit is no number: "max" on v2, 2^63 less a page on v1', () => {
  files({
    'memory.current': '1\n',
    'memory.max': 'max\n',
    'memory.usage_in_bytes': '1\n',
    'memory.limit_in_bytes': '9223372036854771712\n',
    'pids.current': '1\n',
    'pids.max': 'max\n',
  });
  for (const { memory, pids } of [read(1), read(2)]) {
    expect(memory).toMatchObject({ usage: 1, workingSet: 1 });
    expect(memory).not.toHaveProperty('limit');
    expect(pids).toEqual({ current: 1 });
  }
});

test('more cache than usage, read a moment later, is a working set of 0', () => {
  files({ 'memory.current': '10\n', 'memory.stat': 'inactive_file 4096\n' });
  expect(read(2).memory).toMatchObject({ usage: 10, workingSet: 0 });
});

test.each([1, 2] as const)('v%i: what no controller counts is left out', (version) => {
  expect(readStats(() => undefined, undefined)).toEqual({});
  const { hugePages, rdma, io, ...others } = read(version);
  expect(others).toEqual({});
  expect([hugePages, rdma, io]).toEqual([[], [], undefined]);
});

test('v2: throttling, swap, kernel memory, devices, huge pages, RDMA and pressure', () => {
  const pressure = 'some avg10=1.50 avg60=0.25 avg300=0.00 total=77\n';
  files({
    'cpu.stat':
      'usage_usec 9\nnr_periods 8\nnr_throttled 3\nthrottled_usec 7\nnr_bursts 1\nburst_usec 2\n',
    'cpu.pressure': pressure,
    'memory.current': '4096\n',
    'memory.peak': '8192\n',
    'memory.swap.current': '512\n',
    'memory.swap.max': '1024\n',
    'memory.stat': 'anon 1\nkernel 300\n',
    'memory.events': 'low 0\nhigh 4\nmax 5\noom 0\noom_kill 0\n',
    'memory.pressure': `${pressure}full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n`,
    'io.stat': '8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:16 \n',
    'hugetlb.2MB.current': '2097152\n',
    'hugetlb.2MB.max': 'max\n',
    'hugetlb.2MB.events': 'max 6\n',
    'hugetlb.2MB.rsvd.current': '0\n',
    'rdma.current': 'mlx5_0 hca_handle=2 hca_object=max\n',
  });
  expect(read(2)).toEqual({
    cpu: {
      usageNs: 9000,
      throttling: {
        periods: 8,
        throttledPeriods: 3,
        throttledNs: 7000,
        bursts: 1,
        burstNs: 2000,
      },
      pressure: { some: { avg10: 1.5, avg60: 0.25, avg300: 0, totalUs: 77 } },
    },
    memory: {
      usage: 4096,
      workingSet: 4096,
      peak: 8192,
      limitHits: 5,
      swap: { usage: 512, limit: 1024 },
      kernel: 300,
      fields: { anon: 1, kernel: 300 },
      events: { low: 0, high: 4, max: 5, oom: 0, oom_kill: 0 },
      pressure: {
        some: { avg10: 1.5, avg60: 0.25, avg300: 0, totalUs: 77 },
        full: { avg10: 0, avg60: 0, avg300: 0, totalUs: 5 },
      },
    },
    io: {
      devices: [
        {
          device: '8:0',
          readBytes: 1,
          writeBytes: 2,
          reads: 3,
          writes: 4,
          discardBytes: 5,
          discards: 6,
        },
      ],
    },
    hugePages: [{ pageSize: '2MB', usage: 2_097_152, limitHits: 6, reserved: 0 }],
    rdma: [{ device: 'mlx5_0', hcaHandles: 2, hcaObjects: 0 }],
  });
});

test('v1: processors one by one, swap as the rest of the sum, devices', () => {
  files({
    'cpuacct.usage': '30\n',
    'cpuacct.usage_user': '20\n',
    'cpuacct.usage_sys': '10\n',
    'cpuacct.usage_percpu': '10 20 \n',
    'cpu.stat': 'nr_periods 5\nnr_throttled 2\nthrottled_time 900\n',
    'memory.usage_in_bytes': '100\n',
    'memory.limit_in_bytes': '1000\n',
    'memory.max_usage_in_bytes': '200\n',
    'memory.failcnt': '3\n',
    'memory.memsw.usage_in_bytes': '150\n',
    'memory.memsw.limit_in_bytes': '1500\n',
    'memory.kmem.usage_in_bytes': '7\n',
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    'memory.stat': 'cache 1\ntotal_cache 2\ntotal_pgfault 4\n',
    'blkio.throttle.io_service_bytes_recursive':
      '8:0 Read 10\n8:0 Write 20\n8:0 Sync 5\n8:0 Total 30\nTotal 30\n',
    'blkio.throttle.io_serviced_recursive': '8:0 Read 1\n8:0 Write 2\nTotal 3\n',
  });
  const { cpu, memory, io } = read(1);
  expect(cpu).toEqual({
    usageNs: 30,
    userNs: 20,
    systemNs: 10,
    perCpuNs: [10, 20],
    throttling: { periods: 5, throttledPeriods: 2, throttledNs: 900 },
  });
  expect(memory).toEqual({
    usage: 100,
    workingSet: 100,
    limit: 1000,
    peak: 200,
    limitHits: 3,
    swap: { usage: 50, limit: 500 },
    kernel: 7,
    fields: { cache: 2, pgfault: 4 },
    events: { oom_kill: 1 },
  });
  expect(io?.devices).toMatchObject([{ device: '8:0', readBytes: 10, writes: 2, discards: 0 }]);
});

test('a count that is none is a typed error that names the file', () => {
  files({ 'pids.current': 'many\n' });
  expect(() => read(2)).toThrow(
    expect.objectContaining({
      code: 'INVALID_CGROUP_FILE',
      message: expect.stringMatching('pids.current holds no number'),
    }),
  );
});

const rubbish = fc.oneof(
  fc.string(),
  fc
    .array(fc.stringMatching(/^[a-z_:0-9]{0,6}[ =][a-z0-9=. ]{0,20}$/))
    .map((lines) => lines.join('\n')),
);

test('random text is numbers, nothing, or a typed error', () => {
  fc.assert(
    fc.property(rubbish, (text) => {
      for (const value of parseKeyed(text).values()) expect(value).toBeGreaterThanOrEqual(0);
      for (const line of parseNested(text).values()) {
        for (const value of line.values()) expect(value).toBeGreaterThanOrEqual(0);
      }
      const { some } = parsePressure(text) ?? {};
      if (some) expect(Number.isFinite(some.totalUs)).toBe(true);
      try {
        const limit = parseLimit(text, 'x');
        expect(limit === undefined || limit >= 0).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
      }
    }),
  );
});

test('random files of both versions never give what is no number', () => {
  const names = [
    'cpu.stat',
    'memory.stat',
    'memory.events',
    'io.stat',
    'rdma.current',
    'cpu.pressure',
    'blkio.throttle.io_service_bytes',
  ];
  fc.assert(
    fc.property(fc.record(Object.fromEntries(names.map((name) => [name, rubbish]))), (contents) => {
      files({
        ...(contents as Record<string, string>),
        'memory.current': '1\n',
        'memory.usage_in_bytes': '1\n',
      });
      for (const version of [1, 2] as const) {
        const text = JSON.stringify(read(version));
        // NaN and infinity would be null.
        expect(text).not.toContain('null');
      }
    }),
    { numRuns: 50 },
  );
});
