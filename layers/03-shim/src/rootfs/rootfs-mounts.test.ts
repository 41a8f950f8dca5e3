/** A task's mounts, in a mount namespace's kernel view, and what an image's links can do to them. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mountRootfs, type RootfsMount, unmountRootfs } from './rootfs-mounts.ts';

let area: string;
let rootfs: string;
beforeEach(() => {
  area = mkdtempSync(join(tmpdir(), 'strata-rootfs-'));
  rootfs = join(area, 'rootfs');
  for (const name of ['low', 'middle', 'upper', 'work', 'plain']) mkdirSync(join(area, name));
  writeFileSync(join(area, 'low/file'), 'low');
  writeFileSync(join(area, 'plain/file'), 'plain');
});
afterEach(() => {
  unmountRootfs(rootfs);
  expect(mountsBelow()).toEqual([]);
  rmSync(area, { recursive: true });
});

const mountsBelow = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(area));
const mount = (type: string, source: string, options: string[], target = ''): RootfsMount => ({
  ...{ type, source, target, options },
});
const overlay = (): RootfsMount =>
  mount('overlay', 'overlay', [
    'index=off',
    `workdir=${area}/work`,
    `upperdir=${area}/upper`,
    `lowerdir=${area}/middle:${area}/low`,
  ]);

test('an overlay, written to', () => {
  mountRootfs([overlay()], rootfs);
  expect(readFileSync(join(rootfs, 'file'), 'utf8')).toBe('low');
  writeFileSync(join(rootfs, 'new'), 'n');
  expect(readFileSync(join(area, 'upper/new'), 'utf8')).toBe('n');
});

test('a bind, read only', () => {
  mountRootfs([mount('bind', join(area, 'plain'), ['rbind', 'ro'])], rootfs);
  expect(readFileSync(join(rootfs, 'file'), 'utf8')).toBe('plain');
  expect(() => writeFileSync(join(rootfs, 'new'), '')).toThrow('EROFS');
});

test('a second mount inside the first stays inside, whatever link the image has', () => {
  symlinkSync(join(area, 'outside'), join(area, 'low/data'));
  mkdirSync(join(area, 'outside'));
  const second = mount('tmpfs', 'tmpfs', ['size=64k'], 'data');
  // In the image `area` is not there, so the link leads nowhere; outside it would lead to a directory.
  expect(() => mountRootfs([overlay(), second], rootfs)).toThrow(/rootfs\[1\] \(tmpfs on/);
  expect(mountsBelow()).toEqual([]);
  mkdirSync(join(area, 'low', area, 'outside'), { recursive: true });
  mountRootfs([overlay(), second], rootfs);
  expect(mountsBelow().map((line) => line.split(' ')[4])).toEqual([
    rootfs,
    join(rootfs, area, 'outside'),
  ]);
});

test('what is refused says which mount, and leaves none', () => {
  const wrong = mount('nonsense', 'x', []);
  expect(() => mountRootfs([overlay(), wrong], rootfs)).toThrow(/rootfs\[1\] \(nonsense on/);
  expect(mountsBelow()).toEqual([]);
  expect(() => mountRootfs([mount('format/overlay', 'x', [])], rootfs)).toThrow(/not supported/);
});
