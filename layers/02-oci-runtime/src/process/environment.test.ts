import { expect, test } from 'vitest';
import { lacksHome, withHome, withoutDuplicates } from './environment.ts';

test('of a name given twice the last value counts, at its place', () => {
  expect(withoutDuplicates(['A=1', 'B=2', 'A=3', 'B', 'C='])).toEqual(['A=3', 'B', 'C=']);
  const env = ['A=1', 'B=2'];
  expect(withoutDuplicates(env)).toBe(env);
});

test.each([
  [[], true],
  [['HOME='], true],
  [['HOMER=x'], true],
  [['HOME=/x'], false],
  [['HOME=/x', 'HOME='], true],
  [['HOME=', 'HOME=/x'], false],
])('%j lacks HOME: %s', (env, lacks) => {
  expect(lacksHome(env)).toBe(lacks);
});

test('HOME takes the place of an empty one', () => {
  expect(withHome(['A=1', 'HOME='], '/root')).toEqual(['A=1', 'HOME=/root']);
});
