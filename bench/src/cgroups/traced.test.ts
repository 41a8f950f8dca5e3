import { expect, test } from 'vitest';
import { sumOf } from './traced.ts';

test('calls on cgroup files are summed, by path and by descriptor; others are not', () => {
  const lines = [
    'mkdirat(AT_FDCWD, "/sys/fs/cgroup/pids/x", 0755) = 0 <0.000100>',
    'write(7</sys/fs/cgroup/pids/x/pids.max>, "64", 2) = 2 <0.000013>',
    'openat(AT_FDCWD</>, "/sys/fs/cgroup/gone", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000007>',
    'read(3</proc/1/cgroup>, "0::/\\n", 100) = 5 <0.5>',
    'write(7</sys/fs/cgroup/pids/x/pids.max>, "64", 2 <unfinished ...>',
    '+++ exited with 0 +++',
  ];
  const { totalMs, calls } = sumOf(lines);
  expect(calls).toBe(3);
  expect(totalMs).toBeCloseTo(0.12);
});
