/**
 * What the limits of a cgroup mean, in words: the files that hold them, read and told.
 *
 *   memory.max    67108864    more than 64.0 MiB: something in it is killed
 *
 * @see Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/
 */

import type { CgroupPaths } from './cgroup.ts';
import { readCgroupFile } from './cgroup-file.ts';
import { type CgroupLayout, homeOf, UNIFIED_KEY } from './layout.ts';

/** A limit that was read, and what it does. */
export interface ExplainedLimit {
  /** Key of the hierarchy; '' is v2. */
  hierarchy: string;
  file: string;
  value: string;
  meaning: string;
}

type Tell = (value: string) => string;
interface Row {
  controller: string;
  v1?: string;
  v2?: string;
  tell: Tell;
}

const MIB = 2 ** 20;
/** What v1 has for no limit, a page less or more. */
const UNLIMITED = 2 ** 62;
const isNone = (value: string): boolean =>
  value === 'max' || value === '-1' || Number(value) > UNLIMITED;

const bytes = (value: string): string => `${(Number(value) / MIB).toFixed(1)} MiB`;
const limited =
  (none: string, some: Tell): Tell =>
  (value) =>
    isNone(value) ? none : some(value);

/** `50000 100000`: microseconds of processor time in microseconds. */
function quota(value: string): string {
  const [time = 'max', period = '100000'] = value.split(' ');
  if (isNone(time)) return 'as much processor time as there is';
  return `at most ${(Number(time) / Number(period)).toFixed(2)} processors, counted over ${Number(period) / 1000} ms; then it stands still`;
}

const ROWS: readonly Row[] = [
  {
    controller: 'cpu',
    v1: 'cpu.shares',
    v2: 'cpu.weight',
    tell: (value) =>
      `its part of a busy processor: ${value} beside the others' (1024 on v1, 100 on v2)`,
  },
  { controller: 'cpu', v2: 'cpu.max', tell: quota },
  {
    controller: 'cpu',
    v1: 'cpu.cfs_quota_us',
    tell: limited(
      'as much processor time as there is',
      (value) => `${value} µs of processor time in each period`,
    ),
  },
  { controller: 'cpu', v1: 'cpu.cfs_period_us', tell: (value) => `the period: ${value} µs` },
  {
    controller: 'cpu',
    v1: 'cpu.cfs_burst_us',
    v2: 'cpu.max.burst',
    tell: (value) =>
      value === '0' ? 'unused quota is lost' : `${value} µs of unused quota are saved up`,
  },
  {
    controller: 'cpu',
    v1: 'cpu.idle',
    v2: 'cpu.idle',
    tell: (value) =>
      value === '1' ? 'runs only when nobody else wants to' : 'runs beside the others',
  },
  {
    controller: 'cpuset',
    v1: 'cpuset.cpus',
    v2: 'cpuset.cpus',
    tell: (value) => (value === '' ? "the parent's processors" : `only on the processors ${value}`),
  },
  {
    controller: 'memory',
    v1: 'memory.limit_in_bytes',
    v2: 'memory.max',
    tell: limited(
      'as much memory as there is',
      (value) => `more than ${bytes(value)}: something in it is killed`,
    ),
  },
  {
    controller: 'memory',
    v2: 'memory.high',
    tell: limited(
      'is never slowed down for memory',
      (value) => `above ${bytes(value)} it is slowed down and reclaimed from`,
    ),
  },
  {
    controller: 'memory',
    v1: 'memory.soft_limit_in_bytes',
    v2: 'memory.low',
    tell: limited(
      'no soft limit',
      (value) => `when memory is short, ${bytes(value)} are left to it`,
    ),
  },
  {
    controller: 'memory',
    v1: 'memory.memsw.limit_in_bytes',
    tell: limited(
      'as much swap as there is',
      (value) => `memory and swap together at most ${bytes(value)}`,
    ),
  },
  {
    controller: 'memory',
    v2: 'memory.swap.max',
    tell: limited('as much swap as there is', (value) => `at most ${bytes(value)} swapped out`),
  },
  {
    controller: 'pids',
    v1: 'pids.max',
    v2: 'pids.max',
    tell: limited(
      'as many tasks as the machine allows',
      (value) => `at ${value} tasks (threads too) fork fails with EAGAIN`,
    ),
  },
  {
    controller: 'freezer',
    v1: 'freezer.state',
    tell: (value) =>
      value === 'THAWED' ? 'its processes run' : 'its processes stand still until it is thawed',
  },
  {
    controller: 'devices',
    v1: 'devices.list',
    tell: (value) =>
      value.startsWith('a ') ? 'every device may be used' : 'only these devices may be used',
  },
];

/** The limits of a cgroup that its controllers have files for. @throws {StrataError} CGROUP_READ */
export function explainLimits(paths: CgroupPaths, layout: CgroupLayout): ExplainedLimit[] {
  const rows = ROWS.flatMap(({ controller, v1, v2, tell }) => {
    const home = homeOf(layout, controller);
    const file = home?.version === 1 ? v1 : v2;
    return home && file !== undefined ? explained(paths, { key: home.key, file, tell }) : [];
  });
  const tell: Tell = (value) =>
    value === '1' ? 'its processes stand still until it is thawed' : 'its processes run';
  return [...rows, ...explained(paths, { key: UNIFIED_KEY, file: 'cgroup.freeze', tell })];
}

function explained(
  paths: CgroupPaths,
  { key, file, tell }: { key: string; file: string; tell: Tell },
): ExplainedLimit[] {
  const directory = paths[key];
  const text = directory === undefined ? undefined : readCgroupFile(`${directory}/${file}`)?.trim();
  if (text === undefined) return [];
  return [{ hierarchy: key, file, value: text.split('\n').join(', '), meaning: tell(text) }];
}
