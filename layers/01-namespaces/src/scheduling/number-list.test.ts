import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { formatNumberList, maskToNumbers, numbersToMask, parseNumberList } from './number-list.ts';

test.each([
  ['', []],
  ['0', [0]],
  ['0-3,7', [0, 1, 2, 3, 7]],
  [' 7 , 0 - 2,1\n', [0, 1, 2, 7]],
])('%j', (text, numbers) => {
  expect(parseNumberList(text)).toEqual(numbers);
});

test.each(['a', '-1', '3-1', '0-', '1-2-3', '0x1', '8192', '0-4000000000', '1e3', '٣'])(
  '%j is no list',
  (text) => {
    expect(() => parseNumberList(text)).toThrow(expect.objectContaining({ code: 'INVALID_LIST' }));
  },
);

const sets = fc
  .uniqueArray(fc.integer({ min: 0, max: 8191 }))
  .map((numbers) => numbers.sort((a, b) => a - b));

test('lists and masks are two ways to write a set', () => {
  fc.assert(
    fc.property(sets, (numbers) => {
      expect(parseNumberList(formatNumberList(numbers))).toEqual(numbers);
      const mask = numbersToMask(numbers);
      expect(mask.length % 8).toBe(0);
      expect(maskToNumbers(mask)).toEqual(numbers);
    }),
  );
});

test('rubbish is refused or read, and never anything else', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789-, x\n') }), (text) => {
      try {
        expect(parseNumberList(text).length).toBeLessThanOrEqual(8192);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
      }
    }),
  );
});
