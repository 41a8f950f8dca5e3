import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inheritCpuset } from './inherit-cpuset.ts';

let root: string;

/** A directory with the files that the kernel would put there. */
function cgroup(path: string, cpus = '\n', mems = '\n'): void {
  mkdirSync(root + path, { recursive: true });
  writeFileSync(`${root}${path}/cpuset.cpus`, cpus);
  writeFileSync(`${root}${path}/cpuset.mems`, mems);
}

const read = (path: string): string[] =>
  ['cpuset.cpus', 'cpuset.mems'].map((file) => readFileSync(`${root}${path}/${file}`, 'utf8'));

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'strata-cpuset-'));
});

afterEach(() => rmSync(root, { recursive: true }));

test('a new cgroup gets what its parent has', () => {
  cgroup('', '0-1\n', '0\n');
  cgroup('/a', '1\n', '0\n');
  cgroup('/a/b');
  inheritCpuset(root, '/a/b');
  expect(read('/a/b')).toEqual(['1', '0']);
  expect(read('/a')).toEqual(['1\n', '0\n']);
});

test('parents that are empty are filled on the way', () => {
  cgroup('', '0-1\n', '0\n');
  cgroup('/a');
  cgroup('/a/b');
  cgroup('/a/b/c');
  inheritCpuset(root, '/a/b/c');
  for (const path of ['/a', '/a/b', '/a/b/c']) expect(read(path)).toEqual(['0-1', '0']);
});

test('an empty root is an error that names the file', () => {
  cgroup('');
  cgroup('/a');
  expect(() => inheritCpuset(root, '/a')).toThrow(
    expect.objectContaining({ code: 'CGROUP_CREATE', path: `${root}/cpuset.cpus` }),
  );
});
