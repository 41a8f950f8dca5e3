import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Hierarchy } from '../layout.ts';
import { enableControllers } from './enable-controllers.ts';

// Plain directories: a write stands in the file as it was made, the last one only.
let root: string;
const UNTOUCHED = 'untouched';

const hierarchy = (...controllers: string[]): Hierarchy => ({
  key: '',
  version: 2,
  mountPoint: root,
  root: '/',
  controllers,
});

function cgroup(path: string, subtreeControl?: string): void {
  mkdirSync(root + path, { recursive: true });
  if (subtreeControl === undefined) return;
  writeFileSync(`${root}${path}/cgroup.subtree_control`, subtreeControl);
}

const read = (path: string): string =>
  readFileSync(`${root}${path}/cgroup.subtree_control`, 'utf8');

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'strata-enable-'));
});

afterEach(() => rmSync(root, { recursive: true }));

test('a controller is enabled in the parent, not in the cgroup itself', () => {
  cgroup('', UNTOUCHED);
  cgroup('/a', '');
  cgroup('/a/b', UNTOUCHED);
  enableControllers(hierarchy('memory'), '/a/b');
  expect(read('/a')).toBe('+memory');
  expect(read('/a/b')).toBe(UNTOUCHED);
  expect(read('')).toBe(UNTOUCHED);
});

test('what is enabled already is not written again', () => {
  cgroup('', 'cpu memory pids\n');
  enableControllers(hierarchy('cpu', 'memory', 'pids'), '/a');
  expect(read('')).toBe('cpu memory pids\n');
});

test('only what is missing is written', () => {
  cgroup('', 'cpu memory\n');
  enableControllers(hierarchy('cpu', 'memory', 'pids'), '/a');
  expect(read('')).toBe('+pids');
});

test('what the parent refuses is enabled above it first', () => {
  cgroup('', '');
  cgroup('/a');
  enableControllers(hierarchy('memory'), '/a/b');
  expect(read('')).toBe('+memory');
});

test('a root that refuses stops nobody: a limit is refused when it is set', () => {
  expect(() => enableControllers(hierarchy('memory'), '/a')).not.toThrow();
});
