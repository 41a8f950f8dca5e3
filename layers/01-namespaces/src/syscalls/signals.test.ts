import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { parseSignal } from './signals.ts';

test('the names and numbers are those of the system', () => {
  for (const [name, number] of Object.entries(constants.signals)) {
    expect([name, parseSignal(name)]).toEqual([name, number]);
  }
});

test('people may leave out SIG, write small, or give a number', () => {
  expect(['term', 'SIGterm', '15', ' TERM '].map(parseSignal)).toEqual([15, 15, 15, 15]);
  expect(['RTMIN', 'RTMIN+3', 'SIGRTMAX-1', '64'].map(parseSignal)).toEqual([34, 37, 63, 64]);
});

test('anything else is refused', () => {
  for (const text of ['', 'SIG', 'FOO', '65', '-9', '0x9', '__proto__', 'RTMIN-1', 'RTMAX+1']) {
    expect(() => parseSignal(text)).toThrow(expect.objectContaining({ code: 'INVALID_SIGNAL' }));
  }
});
