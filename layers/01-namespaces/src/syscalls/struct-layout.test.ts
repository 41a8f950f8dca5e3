import fc from 'fast-check';
import { expect, test } from 'vitest';
import { structLayout } from './struct-layout.ts';

test('fields lie where C puts them', () => {
  const layout = structLayout(24, { kind: 'u8', id: 'u32', when: 'i64', port: 'u16', tail: 3 });
  const bytes = layout.pack({
    kind: 1,
    id: 2,
    when: -1n,
    port: 0x0403,
    tail: Uint8Array.of(5, 6, 7),
  });
  expect([...bytes]).toEqual([
    1,
    0,
    0,
    0,
    2,
    0,
    0,
    0,
    ...Array(8).fill(255),
    3,
    4,
    5,
    6,
    7,
    0,
    0,
    0,
  ]);
});

test('a size that the fields do not come to is refused at once', () => {
  expect(() => structLayout(12, { a: 'u32', b: 'u64' })).toThrow(/12 bytes.*take 16/);
  expect(structLayout(12, { a: 'u64', b: 'i32' }).size).toBe(12); // packed
  expect(structLayout(16, { a: 'u64', b: 'i32' }).size).toBe(16);
});

test('too few bytes are an error, not zeros', () => {
  expect(() => structLayout(8, { a: 'u64' }).unpack(new Uint8Array(7))).toThrow(
    expect.objectContaining({ code: 'SHORT_STRUCT' }),
  );
});

test('what is packed is unpacked', () => {
  const layout = structLayout(32, { a: 'u16', b: 'i32', c: 'u64', d: 'i64', e: 'u8' });
  const values = fc.record({
    a: fc.integer({ min: 0, max: 0xffff }),
    b: fc.integer(),
    c: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    d: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    e: fc.integer({ min: 0, max: 255 }),
  });
  fc.assert(
    fc.property(values, (value) => {
      expect(layout.unpack(layout.pack(value))).toEqual(value);
    }),
  );
});
