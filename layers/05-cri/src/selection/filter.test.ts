import { expect, test } from 'vitest';
import { matchesId, matchesLabels } from './filter.ts';

test('an id matches by its beginning', () => {
  expect(matchesId('abcdef', '')).toBe(true);
  expect(matchesId('abcdef', 'abc')).toBe(true);
  expect(matchesId('abcdef', 'bcd')).toBe(false);
});

test('labels match if every entry of the selector is there', () => {
  const labels = { app: 'web', tier: 'front' };
  expect(matchesLabels(labels, {})).toBe(true);
  expect(matchesLabels(labels, { app: 'web' })).toBe(true);
  expect(matchesLabels(labels, { app: 'web', tier: 'back' })).toBe(false);
  expect(matchesLabels(labels, { toString: '' })).toBe(false);
});
