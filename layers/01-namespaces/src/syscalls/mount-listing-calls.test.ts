import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { type MountStatus, parseStatmount } from './mount-listing-calls.ts';

const HEADER_BYTES = 512;

/** An answer as the kernel writes it: each string at its offset behind the header. */
function answer(options: {
  mask: number;
  words: readonly [at: number, value: number][];
  text: string;
}) {
  const strings = new TextEncoder().encode(options.text);
  const bytes = new Uint8Array(HEADER_BYTES + strings.length);
  bytes.set(strings, HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(8, options.mask, true);
  for (const [at, value] of options.words) view.setUint32(at, value, true);
  return bytes;
}

test('strings and lists lie where the header says', () => {
  const text = '\0/mnt/ü\0tmpfs\0size=4k\0mode=755\0';
  const at = (word: string): number => new TextEncoder().encode(text.split(word)[0]).length;
  const words = [
    [108, at('/mnt')],
    [36, at('tmpfs')],
    [128, 2],
    [132, at('size')],
  ] as const;
  // Point, type, options one by one; and the id of the namespace, which is in the header.
  const bytes = answer({
    mask: 0x10 | 0x20 | 0x40 | 0x400,
    words: words.map(([a, b]) => [a, b]),
    text,
  });
  new DataView(bytes.buffer).setBigUint64(112, 2n ** 40n, true);
  expect(parseStatmount(bytes)).toEqual({
    mask: 0x470,
    mountPoint: '/mnt/ü',
    type: 'tmpfs',
    optionArray: ['size=4k', 'mode=755'],
    namespaceId: 2n ** 40n,
  } satisfies MountStatus);
});

test('random bytes are refused with a typed error or read, and never run on', () => {
  const header = fc.uint8Array({ minLength: HEADER_BYTES, maxLength: HEADER_BYTES + 200 });
  const edges = fc.constantFrom(0, 1, 511, 512, 0x7fff_ffff, 0xffff_ffff);
  fc.assert(
    fc.property(header, fc.array(fc.tuple(fc.nat(127), edges)), (bytes, changes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      for (const [word, value] of changes) view.setUint32(word * 4, value, true);
      try {
        parseStatmount(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
        expect((error as StrataError).code).toBe('EINVAL');
      }
    }),
    { numRuns: 2000 },
  );
  expect(() => parseStatmount(new Uint8Array(100))).toThrow(
    expect.objectContaining({ code: 'SHORT_STRUCT' }),
  );
});
