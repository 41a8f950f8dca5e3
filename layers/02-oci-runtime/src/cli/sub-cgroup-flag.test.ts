import { expect, test } from 'vitest';
import { parseSubCgroups } from './sub-cgroup-flag.ts';

test.each([
  [[], undefined],
  [['sub'], 'sub'],
  [['cpu:a'], { cpu: 'a' }],
  [['cpu,cpuacct:a/b', 'memory:c'], { cpu: 'a/b', cpuacct: 'a/b', memory: 'c' }],
  [['cpu:a:b'], { cpu: 'a:b' }],
])('%j', (values, expected) => {
  expect(parseSubCgroups(values)).toEqual(expected);
});

test.each([
  [['a', 'b'], /need their controllers/],
  [['cpu:a', 'b'], /need their controllers/],
  [[':a'], /is missing/],
  [['cpu,:a'], /is missing/],
  [['cpu:a', 'memory,cpu:b'], /cpu comes twice/],
])('%j is refused', (values, message) => {
  expect(() => parseSubCgroups(values)).toThrow(message);
});
