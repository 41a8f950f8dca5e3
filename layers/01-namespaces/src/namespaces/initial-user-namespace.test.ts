import { expect, test } from 'vitest';
import { mapsAllIds } from './initial-user-namespace.ts';

test.each([
  ['         0          0 4294967295\n', true],
  ['0 0 4294967294\n', false],
  ['0 1000 1\n1 100000 65536\n', false],
  ['0 0 1000\n1000 1000 4294966295\n', false],
  ['', false],
])('a map of %j: %s', (text, all) => {
  expect(mapsAllIds(text)).toBe(all);
});
