import { expect, test } from 'vitest';
import {
  MOUNT_ATTR_ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_PRIVATE,
  MS_REC,
  MS_SLAVE,
} from '../syscalls/constants.ts';
import { parseMountOptions } from './mount-options.ts';

test('options are sorted by kind', () => {
  const options = [
    'nosuid',
    'strictatime',
    'mode=755',
    'size=65536k',
    'rslave',
    'private',
    'rbind',
  ];
  expect(parseMountOptions(options)).toMatchObject({
    attrSet: MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME,
    attrClear: MOUNT_ATTR_ATIME,
    propagation: [MS_SLAVE | MS_REC, MS_PRIVATE],
    bind: true,
    recursiveBind: true,
    data: ['mode=755', 'size=65536k'],
  });
});

test('the later of two contradicting options counts', () => {
  expect(parseMountOptions(['ro', 'rw'])).toMatchObject({
    attrSet: 0,
    attrClear: MOUNT_ATTR_RDONLY,
  });
  expect(parseMountOptions(['rw', 'ro'])).toMatchObject({
    attrSet: MOUNT_ATTR_RDONLY,
    attrClear: 0,
  });
  expect(parseMountOptions(['strictatime', 'relatime']).attrSet).toBe(0);
});

test('a leading r means this mount and all below', () => {
  expect(parseMountOptions(['rro', 'rnodev', 'rsuid'])).toMatchObject({
    attrSet: 0,
    recursiveSet: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV,
    recursiveClear: MOUNT_ATTR_NOSUID,
    data: [],
  });
  expect(parseMountOptions(['relatime']).recursiveSet).toBe(0);
});

test('names of object members are not options', () => {
  expect(parseMountOptions(['constructor', '__proto__']).data).toEqual([
    'constructor',
    '__proto__',
  ]);
});

test('flags of the superblock are parameters for fsconfig(2); those of fstab(5) go nowhere', () => {
  const options = ['defaults', 'nofail', 'sync', 'lazytime', 'async'];
  expect(parseMountOptions(options)).toMatchObject({
    data: ['sync', 'lazytime', 'async'],
    attrSet: 0,
    attrClear: 0,
  });
});

test('recursive access times clear the field as well', () => {
  expect(parseMountOptions(['rnoatime'])).toMatchObject({
    recursiveSet: MOUNT_ATTR_NOATIME,
    recursiveClear: MOUNT_ATTR_ATIME,
  });
});
