import { expect, test } from 'vitest';
import { planLimits } from './controllers.ts';
import type { CgroupLayout } from './layout.ts';
import type { CgroupResources } from './resources.ts';
import { weightOfShares } from './v2/cpu.ts';

const v2: CgroupLayout = {
  mode: 'v2',
  hierarchies: [
    {
      key: '',
      version: 2,
      mountPoint: '/cg',
      root: '/',
      controllers: ['cpu', 'cpuset', 'io', 'memory', 'pids'],
    },
  ],
};
const v1: CgroupLayout = {
  mode: 'v1',
  hierarchies: ['cpu', 'cpuset', 'memory', 'pids', 'devices', 'blkio'].map((name) => ({
    key: name,
    version: 1,
    mountPoint: `/cg/${name}`,
    root: '/',
    controllers: [name],
  })),
};

const lines = (layout: CgroupLayout, resources: CgroupResources): string[] =>
  planLimits(layout, resources).writes.map(({ key, file, value }) => `${key}/${file}=${value}`);

const LIMITS: CgroupResources = {
  cpu: { shares: 1024, quota: 50_000, period: 100_000, burst: 1000, cpus: '0-1', idle: 0 },
  memory: { limit: 100, reservation: 50, swap: 150 },
  pids: { limit: 7 },
};

test('limits as files of v1', () => {
  expect(lines(v1, LIMITS)).toEqual([
    'cpuset/cpuset.cpus=0-1',
    'cpu/cpu.shares=1024',
    'cpu/cpu.cfs_period_us=100000',
    'cpu/cpu.cfs_quota_us=50000',
    'cpu/cpu.cfs_burst_us=1000',
    'cpu/cpu.idle=0',
    'memory/memory.limit_in_bytes=100',
    'memory/memory.memsw.limit_in_bytes=150',
    'memory/memory.soft_limit_in_bytes=50',
    'pids/pids.max=7',
  ]);
});

test('limits as files of v2', () => {
  expect(lines(v2, LIMITS)).toEqual([
    '/cpuset.cpus=0-1',
    '/cpu.idle=0',
    '/cpu.weight=100',
    '/cpu.max=50000 100000',
    '/cpu.max.burst=1000',
    '/memory.max=100',
    '/memory.low=50',
    '/memory.swap.max=50',
    '/pids.max=7',
  ]);
});

test.each([
  [2, 1],
  [1024, 100],
  [512, 59],
  [3, 2],
  [262_144, 10_000],
  [1, 1],
  [10 ** 9, 10_000],
])('%d shares are weight %d', (shares, weight) => {
  expect(weightOfShares(shares)).toBe(weight);
});

test('no limit is "max", nothing given is nothing written', () => {
  expect(
    lines(v2, { memory: { limit: -1, swap: -1 }, pids: { limit: 0 }, cpu: { quota: -1 } }),
  ).toEqual(['/cpu.max=max 100000', '/memory.max=max', '/memory.swap.max=max', '/pids.max=max']);
  expect(lines(v1, {})).toEqual([]);
});

test('a list that denies all still allows the devices of every container', () => {
  const rules = [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', major: 10, minor: 200, access: 'rw' },
  ];
  const written = lines(v1, { devices: rules });
  expect(written[0]).toBe('devices/devices.deny=a');
  expect(written).toContain('devices/devices.allow=c 1:3 rwm');
  expect(written).toContain('devices/devices.allow=c 10:200 rw');
});

test.each<[string, CgroupLayout, CgroupResources, RegExp]>([
  [
    'a controller that is not there',
    v1,
    { hugepageLimits: [{ pageSize: '2MB', limit: 1 }] },
    /hugepageLimits\[0\].*hugetlb/,
  ],
  ['unified on v1', v1, { unified: { 'memory.high': '1' } }, /unified.*cgroup v1/],
  ['unified out of the cgroup', v2, { unified: { '../x': '1' } }, /unified.*not a file/],
  ['unified of the core', v2, { unified: { 'cgroup.procs': '1' } }, /unified.*not a file/],
  ['swap below memory', v2, { memory: { limit: 10, swap: 5 } }, /memory\.swap/],
])('%s is refused', (_, layout, resources, message) => {
  expect(() => planLimits(layout, resources)).toThrow(message);
});
