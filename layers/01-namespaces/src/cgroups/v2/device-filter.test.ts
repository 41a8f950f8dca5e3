import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { detectCgroups } from '../layout.ts';
import type { DeviceRule } from '../resources.ts';
import { attachDeviceFilter, countDeviceFilters } from './attach-device-filter.ts';
import { deviceProgram } from './device-filter.ts';

test('a program is whole instructions and ends with an answer', () => {
  const program = deviceProgram([{ allow: false }]);
  expect(program.length % 8).toBe(0);
  expect(program.at(-8)).toBe(0x95);
});

const { mode, unified, hierarchies } = detectCgroups();
const root = mode === 'v2' ? hierarchies[0]!.mountPoint : unified?.mountPoint;

/** What a shell in a cgroup with these rules can do: the kernel's own answer. */
function inCgroup(rules: readonly DeviceRule[], script: string): string {
  const path = `${root}/strata-test-devices-${process.pid}`;
  mkdirSync(path);
  try {
    attachDeviceFilter(path, rules);
    const enter = `echo $$ > ${path}/cgroup.procs && ${script}`;
    return spawnSync('/bin/sh', ['-c', enter], { encoding: 'utf8' }).stdout.trim();
  } finally {
    rmdirSync(path);
  }
}

const tryAll =
  'for d in null zero kmsg; do (: < /dev/$d) 2>/dev/null && echo r-$d; (: > /dev/$d) 2>/dev/null && echo w-$d; done';

test.skipIf(!root || !existsSync('/dev/kmsg')).each<[string, DeviceRule[], string[]]>([
  [
    'deny all leaves the default devices',
    [{ allow: false }],
    ['r-null', 'w-null', 'r-zero', 'w-zero'],
  ],
  [
    'a later rule allows more',
    [{ allow: false }, { allow: true, type: 'c', major: 1, minor: 11, access: 'r' }],
    ['r-null', 'w-null', 'r-zero', 'w-zero', 'r-kmsg'],
  ],
  [
    'a later rule takes some away',
    [{ allow: false }, { allow: false, type: 'c', major: 1, minor: 3, access: 'w' }],
    ['r-null', 'r-zero', 'w-zero'],
  ],
])('%s', (_, rules, expected) => {
  // Redirections of the shell itself open /dev/null for writing, which the last case forbids.
  expect(inCgroup(rules, tryAll.replaceAll('2>/dev/null', '2>&-')).split('\n')).toEqual(expected);
});

test.skipIf(!root)('new rules take the place of the old ones', () => {
  const path = `${root}/strata-test-replace-${process.pid}`;
  const openNull = `echo $$ > ${path}/cgroup.procs; : < /dev/null && echo open`;
  const tryNull = () => spawnSync('/bin/sh', ['-c', openNull], { encoding: 'utf8' }).stdout.trim();
  const nullRule = { type: 'c', major: 1, minor: 3, access: 'r' };
  mkdirSync(path);
  try {
    for (let round = 0; round < 70; round++) {
      attachDeviceFilter(path, [{ allow: false }, { ...nullRule, allow: round % 2 === 1 }]);
    }
    expect(countDeviceFilters(path)).toEqual({ all: 1, own: 1 });
    expect(tryNull()).toBe('open');
    attachDeviceFilter(path, [{ allow: false }, { ...nullRule, allow: false }]);
    expect(tryNull()).toBe('');
  } finally {
    rmdirSync(path);
  }
});

test.skipIf(!root)('a refused program changes nothing and leaves no descriptor', () => {
  const before = readdirSync('/proc/self/fd').length;
  const path = `${root}/strata-test-gone-${process.pid}`;
  expect(() => attachDeviceFilter(path, [{ allow: false }])).toThrow(/openat2.*ENOENT/);
  expect(readdirSync('/proc/self/fd').length).toBe(before);
});
