import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readStats } from './stats.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-stats-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

function files(contents: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(contents)) writeFileSync(join(directory, name), text);
}

test('v2: microseconds become nanoseconds, the cache that can be dropped is no working set', () => {
  files({
    'cpu.stat': 'usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n',
    'memory.current': '10000\n',
    'memory.stat': 'anon 6000\ninactive_file 3000\nactive_file 1000\n',
    'memory.max': '65536\n',
    'pids.current': '3\n',
    'pids.max': '7\n',
  });
  expect(readStats(2, () => directory)).toEqual({
    cpu: { usageNs: 1_500_000 },
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
  expect(readStats(1, () => directory)).toEqual({
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
  const expected = { memory: { usage: 1, workingSet: 1 }, pids: { current: 1 } };
  expect(readStats(2, () => directory)).toEqual(expected);
  expect(readStats(1, () => directory)).toEqual(expected);
});

test('more cache than usage, read a moment later, is a working set of 0', () => {
  files({ 'memory.current': '10\n', 'memory.stat': 'inactive_file 4096\n' });
  expect(readStats(2, () => directory).memory).toEqual({ usage: 10, workingSet: 0 });
});

test.each([1, 2] as const)('v%i: what no controller counts is left out', (version) => {
  expect(readStats(version, () => undefined)).toEqual({});
  expect(readStats(version, () => directory)).toEqual({});
});
