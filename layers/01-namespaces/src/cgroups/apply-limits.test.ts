/** Limits against plain directories that are laid out like cgroup file systems. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cgroup } from './cgroup.ts';
import type { CgroupLayout } from './layout.ts';
import type { CgroupResources } from './resources.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'strata-test-cgroup-'));
});

afterEach(() => rmSync(root, { recursive: true }));

/** A v2 cgroup `/web` with these files in it. */
function v2Cgroup(files: Record<string, string>, controllers: string[]): Cgroup {
  mkdirSync(`${root}/web`);
  for (const [file, text] of Object.entries(files)) writeFileSync(`${root}/web/${file}`, text);
  const unified = { key: '', version: 2, mountPoint: root, root: '/', controllers } as const;
  const layout: CgroupLayout = { mode: 'v2', hierarchies: [unified] };
  return Cgroup.open({ '': `${root}/web` }, { layout });
}

const read = (file: string): string => readFileSync(`${root}/web/${file}`, 'utf8');

test('v2 limits are in the files they belong to', () => {
  const names = ['cpu.weight', 'cpu.max', 'memory.max', 'memory.swap.max', 'pids.max', 'io.weight'];
  const files = Object.fromEntries([...names, 'memory.high'].map((name) => [name, 'before']));
  const cgroup = v2Cgroup(files, ['cpu', 'memory', 'pids', 'io']);
  cgroup.set({
    cpu: { shares: 2048, quota: 20_000 },
    memory: { limit: 1 << 20, swap: 3 << 20 },
    pids: { limit: -1 },
    blockIO: { weight: 1000 },
    unified: { 'memory.high': '1000' },
  });
  expect(Object.fromEntries([...names, 'memory.high'].map((name) => [name, read(name)]))).toEqual({
    'cpu.weight': '174',
    'cpu.max': '20000 100000',
    'memory.max': String(1 << 20),
    'memory.swap.max': String(2 << 20),
    'pids.max': 'max',
    'io.weight': '10000',
    'memory.high': '1000',
  });
});

test.each<[string, CgroupResources, string]>([
  ['a controller that is not there', { cpu: { shares: 2 } }, 'linux.resources.cpu.shares'],
  ['a file that is not there', { memory: { limit: 9 } }, 'linux.resources.memory.limit'],
  ['v1 only', { network: { classID: 1 } }, 'linux.resources.network.classID'],
  ['rdma', { rdma: { mlx: { hcaObjects: 1 } } }, 'linux.resources.rdma["mlx"]'],
])('%s is refused, and the field named', (_, resources, field) => {
  const cgroup = v2Cgroup({}, ['memory']);
  expect(() => cgroup.set(resources)).toThrow(
    expect.objectContaining({ code: 'CGROUP_LIMIT', field }),
  );
});

test('a checked limit is not below what is in use', () => {
  const cgroup = v2Cgroup({ 'memory.current': '100\n', 'memory.max': 'max\n' }, ['memory']);
  const limit = (bytes: number) =>
    cgroup.set({ memory: { limit: bytes, checkBeforeUpdate: true } });
  expect(() => limit(99)).toThrow(/99 is less than the 100 bytes in use/);
  expect(read('memory.max')).toBe('max\n');
  limit(100);
  expect(read('memory.max')).toBe('100');
});

test('v2 counters', () => {
  const cgroup = v2Cgroup(
    {
      'cpu.stat': 'usage_usec 1500\nuser_usec 1000\n',
      'memory.current': '5000\n',
      'memory.max': 'max\n',
      'memory.stat': 'anon 1\ninactive_file 2000\n',
      'memory.events': 'low 0\noom 3\noom_kill 2\noom_group_kill 0\n',
      'pids.current': '3\n',
      'pids.max': '10\n',
    },
    ['cpu', 'memory', 'pids'],
  );
  expect(cgroup.stats()).toMatchObject({
    cpu: { usageNs: 1_500_000, userNs: 1_000_000 },
    memory: { usage: 5000, workingSet: 3000, events: { oom: 3, oom_kill: 2 } },
    pids: { current: 3, limit: 10 },
  });
  expect(cgroup.oomKills()).toBe(2);
});

test('what is gone counts nothing', () => {
  const cgroup = v2Cgroup({}, ['cpu', 'memory', 'pids']);
  expect(cgroup.stats()).toEqual({});
  expect(cgroup.oomKills()).toBe(0);
  expect(cgroup.processes()).toEqual([]);
});

test('v2 controllers are enabled from the root down', () => {
  mkdirSync(`${root}/made-before`);
  for (const path of [root, `${root}/made-before`]) {
    writeFileSync(`${path}/cgroup.subtree_control`, 'cpu\n');
  }
  const unified = {
    key: '',
    version: 2,
    mountPoint: root,
    root: '/',
    controllers: ['cpu', 'pids'],
  } as const;
  const cgroup = Cgroup.create('/made-before/web', { mode: 'v2', hierarchies: [unified] });
  expect(cgroup.paths).toEqual({ '': `${root}/made-before/web` });
  const written = readFileSync(`${root}/made-before/cgroup.subtree_control`, 'utf8');
  expect(written).toBe('+pids');
});
