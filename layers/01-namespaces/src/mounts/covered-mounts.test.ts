import { expect, test } from 'vitest';
import { withoutCovered } from './covered-mounts.ts';
import { parseMountinfo } from './mountinfo.ts';

const ROOT = '23 1 8:1 / / rw - ext4 /dev/sda rw';
const TMPFS = '31 23 0:28 / /cg rw - tmpfs tmpfs rw';
const CPU = '32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu';
const MEMORY = '33 31 0:30 / /cg/memory rw - cgroup cgroup rw,memory';

const idsLeft = (...lines: string[]): number[] =>
  withoutCovered(parseMountinfo(`${lines.join('\n')}\n`)).map(({ id }) => id);

test('mounts beside and below each other are all there', () => {
  expect(idsLeft(ROOT, TMPFS, CPU, MEMORY)).toEqual([23, 31, 32, 33]);
});

test('a mount over another covers it, and what is below it', () => {
  const over = '40 31 0:40 / /cg rw - tmpfs tmpfs rw';
  expect(idsLeft(ROOT, TMPFS, CPU, MEMORY, over)).toEqual([23, 40]);
  const onTop = '41 40 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu';
  expect(idsLeft(ROOT, TMPFS, CPU, MEMORY, over, onTop)).toEqual([23, 40, 41]);
});

test('a mount over a directory above covers too', () => {
  const deep = '50 23 0:50 / /a/b/c rw - tmpfs tmpfs rw';
  expect(idsLeft(ROOT, deep, '51 23 0:51 / /a rw - tmpfs tmpfs rw')).toEqual([23, 51]);
});

test('names that begin alike are different places', () => {
  const alike = '40 31 0:40 / /cg/cpuacct rw - cgroup cgroup rw,cpuacct';
  expect(idsLeft(ROOT, TMPFS, CPU, alike)).toEqual([23, 31, 32, 40]);
});

test('in a chroot the mount of the root directory is not listed', () => {
  expect(idsLeft(TMPFS, CPU)).toEqual([31, 32]);
});

test('what goes round in a circle ends', () => {
  expect(idsLeft('1 2 0:1 / / rw - a a rw', '2 1 0:2 / / rw - b b rw')).toEqual([]);
  expect(idsLeft('1 1 0:1 / / rw - rootfs rootfs rw')).toEqual([1]);
});
