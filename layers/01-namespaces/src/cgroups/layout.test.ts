import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { cgroupLayout, detectCgroups } from './layout.ts';

const V2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n';
const HYBRID = [
  '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw',
  '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
  '33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
  '34 31 0:31 / /other/memory rw - cgroup cgroup rw,memory',
  '35 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd',
  '36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
].join('\n');

test('a pure v2 machine has one hierarchy', () => {
  const layout = cgroupLayout(V2, () => 'cpu io memory pids\n');
  expect(layout).toEqual({
    mode: 'v2',
    hierarchies: [
      {
        key: '',
        version: 2,
        mountPoint: '/sys/fs/cgroup',
        root: '/',
        controllers: ['cpu', 'io', 'memory', 'pids'],
      },
    ],
  });
});

test('a hybrid machine has those of v1, each once, and the unified one beside them', () => {
  const layout = cgroupLayout(HYBRID, () => 'hugetlb\n');
  expect(layout.mode).toBe('hybrid');
  expect(layout.hierarchies.map(({ key, mountPoint }) => [key, mountPoint])).toEqual([
    ['cpu,cpuacct', '/sys/fs/cgroup/cpu,cpuacct'],
    ['memory', '/sys/fs/cgroup/memory'],
    ['name=systemd', '/sys/fs/cgroup/systemd'],
  ]);
  expect(layout.unified?.controllers).toEqual(['hugetlb']);
});

test('without the unified hierarchy it is v1, without any an error', () => {
  const v1 = HYBRID.split('\n').slice(0, 5).join('\n');
  expect(cgroupLayout(v1, () => '').mode).toBe('v1');
  expect(() => cgroupLayout('', () => '')).toThrow(/no cgroup/);
});

test('what lies under another mount is not there', () => {
  const over = [
    '40 31 0:40 / /sys/fs/cgroup rw - tmpfs tmpfs rw',
    '41 40 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
  ];
  const layout = cgroupLayout([HYBRID, ...over].join('\n'), () => {
    throw new Error('there is no unified hierarchy');
  });
  expect(layout.mode).toBe('v1');
  expect(layout.hierarchies.map(({ mountPoint }) => mountPoint)).toContain('/sys/fs/cgroup/memory');
  expect(layout.hierarchies.map(({ key }) => key)).not.toContain('cpu,cpuacct');
});

test('random mounts are refused or give a layout and never crash', () => {
  const line = fc.stringMatching(
    /^\d \d 0:\d \/ \/cg[a-c] rw - cgroup2? x (rw|cpu|memory|name=)(,(rw|cpu|name=x))?$/,
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(line, fc.string())), (lines) => {
      try {
        expect(cgroupLayout(lines.join('\n'), () => '').hierarchies.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
      }
    }),
  );
});

test('this machine’s layout is what its mountinfo says', () => {
  const types = readFileSync('/proc/self/mountinfo', 'utf8');
  const { mode } = detectCgroups();
  expect(mode === 'v2').toBe(!types.includes(' - cgroup cgroup '));
});
