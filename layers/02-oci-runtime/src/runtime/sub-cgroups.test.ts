import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { subCgroups } from './sub-cgroups.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-cgroups-'));
  for (const path of ['cpu/c/sub/deep', 'memory/c/sub', 'memory/cc']) {
    mkdirSync(join(directory, path), { recursive: true });
  }
});
afterEach(() => rmSync(directory, { recursive: true }));

const cgroups = () => ({
  'cpu,cpuacct': join(directory, 'cpu/c'),
  memory: join(directory, 'memory/c'),
});

test('a path alone is for all hierarchies', () => {
  for (const path of ['sub', '/sub', 'sub/', 'x/../sub']) {
    expect(subCgroups(cgroups(), path)).toEqual({
      'cpu,cpuacct': join(directory, 'cpu/c/sub'),
      memory: join(directory, 'memory/c/sub'),
    });
  }
  expect(subCgroups(cgroups(), '/')).toEqual(cgroups());
});

test('one of a controller for its hierarchy alone', () => {
  expect(subCgroups(cgroups(), { cpuacct: 'sub/deep' })).toEqual({
    'cpu,cpuacct': join(directory, 'cpu/c/sub/deep'),
    memory: join(directory, 'memory/c'),
  });
});

test('what is not below, or not there, is refused', () => {
  // runc compares the beginning of the text, which another container's name may have as well.
  for (const path of ['..', '../cc', '../../memory']) {
    expect(() => subCgroups(cgroups(), { memory: path })).toThrow(/not below/);
  }
  expect(() => subCgroups(cgroups(), 'sub/deep')).toThrow(/there is no cgroup .*memory/);
  expect(() => subCgroups(cgroups(), { pids: 'sub' })).toThrow(/controller pids/);
});
