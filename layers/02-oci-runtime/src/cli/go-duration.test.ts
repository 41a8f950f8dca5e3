import { expect, test } from 'vitest';
import { parseDuration } from './go-duration.ts';

test.each([
  ['5s', 5000],
  ['1m30s', 90_000],
  ['1.5h', 5_400_000],
  ['.5s', 500],
  ['2.s', 2000],
  ['100ms', 100],
  ['1500us', 1.5],
  ['1500µs', 1.5],
  ['0s', 0],
])('%s', (text, milliseconds) => {
  expect(parseDuration(text, '--interval')).toBeCloseTo(milliseconds);
});

test.each(['', '5', 's', '5 s', '5sx', 'x5s', '-5s', '5d'])('%j is refused', (text) => {
  expect(() => parseDuration(text, '--interval')).toThrow(/^--interval: not a duration/);
});
