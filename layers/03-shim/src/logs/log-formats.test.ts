/** The formats: what they make of any bytes, however these arrive, and that it can be read back. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LOG_FORMATS } from './container-log.ts';
import { parseRecord, streamContent } from './cri-record.ts';
import { type LogFormatName, MAX_CONTENT_BYTES } from './log-format.ts';
import { naiveRecords } from './naive-format.ts';

const batch = { stream: 'stdout' as const, timestampNs: 1_700_000_000_123_456_789n };
const LONGEST_INPUT = 80_000;

function format(name: LogFormatName, input: Uint8Array, end: boolean) {
  const pieces: Buffer[] = [];
  const write = (piece: Uint8Array) => void pieces.push(Buffer.from(piece));
  const consumed = LOG_FORMATS[name].format(input, { ...batch, end }, write);
  return { records: Buffer.concat(pieces), consumed };
}

/** Formats what arrives in pieces, as a stream does. */
function formatPieces(name: LogFormatName, input: Buffer, cuts: readonly number[]): Buffer {
  const all: Buffer[] = [];
  let start = 0;
  for (const cut of [...cuts, input.length].sort((a, b) => a - b)) {
    const { records, consumed } = format(name, input.subarray(start, cut), false);
    all.push(records);
    start += consumed;
    expect(cut - start).toBeLessThanOrEqual(MAX_CONTENT_BYTES);
  }
  return Buffer.concat([...all, format(name, input.subarray(start), true).records]);
}

const piece = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(Uint8Array.of(10), Uint8Array.of(10, 10, 10)),
  fc.constantFrom(new Uint8Array(MAX_CONTENT_BYTES).fill(120)),
  fc.integer({ min: 16_360, max: 16_400 }).map((length) => new Uint8Array(length).fill(121)),
  fc.integer({ min: 16_380, max: 33_000 }).map((length) => new Uint8Array(length).fill(122)),
);
const content = fc
  .array(piece, { maxLength: 8 })
  .map((pieces) => Buffer.concat(pieces).subarray(0, LONGEST_INPUT));
const cuts = (input: Buffer, at: number[]) => at.map((one) => one % (input.length + 1));

test('property: CRI records are those of the plain way, whatever the bytes', () => {
  fc.assert(
    fc.property(content, fc.boolean(), (input, end) => {
      const { records, consumed } = format('cri', input, end);
      const expected = naiveRecords(input, { ...batch, end });
      expect(consumed).toBe(expected.consumed);
      expect(records.equals(expected.records)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('property: records depend on the content only, and join to it', () => {
  fc.assert(
    fc.property(content, fc.array(fc.nat(LONGEST_INPUT), { maxLength: 6 }), (input, at) => {
      for (const name of ['cri', 'plain'] as const) {
        const records = formatPieces(name, input, cuts(input, at));
        const joined = name === 'plain' ? records : streamContent(records, 'stdout');
        expect(joined.equals(input)).toBe(true);
      }
      const whole = formatPieces('json', input, []);
      expect(formatPieces('json', input, cuts(input, at)).equals(whole)).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test('a batch of empty lines makes more records than a piece holds', () => {
  const input = Buffer.alloc(64 << 10, '\n');
  const { records, consumed } = format('cri', input, false);
  expect(consumed).toBe(input.length);
  expect(streamContent(records, 'stdout').equals(input)).toBe(true);
});

test('binary content is kept as it is', () => {
  const input = Buffer.from([0, 255, 13, 10, 10, 195, 40, 13]);
  expect(streamContent(format('cri', input, true).records, 'stdout')).toEqual(input);
  expect(format('plain', input, true).records).toEqual(input);
});

test('property: JSON records are what Docker reads, and text comes out as it went in', () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 50 });
  const long = fc.integer({ min: 5000, max: 9000 }).map((length) => 'é€🙂'.repeat(length / 3));
  fc.assert(
    fc.property(fc.array(fc.oneof(line, long), { maxLength: 6 }), (lines) => {
      const text = lines.join('\n');
      const input = Buffer.from(text).subarray(0, LONGEST_INPUT);
      const records = format('json', input, true).records.toString().split('\n').slice(0, -1);
      const parsed = records.map((record) => JSON.parse(record));
      for (const { stream, time, log } of parsed) {
        expect([stream, time]).toEqual(['stdout', '2023-11-14T22:13:20.123456789Z']);
        expect(Buffer.byteLength(log)).toBeLessThanOrEqual(MAX_CONTENT_BYTES + 1);
        expect(log.slice(0, -1)).not.toContain('\n');
      }
      expect(parsed.map(({ log }) => log).join('')).toBe(input.toString());
    }),
    { numRuns: 200 },
  );
});

test('a line that is no record is refused', () => {
  for (const line of ['\n', 'x\n', '2026 stdout\n', '2026 stdin F x\n', '2026 stdout Q x\n']) {
    expect(() => parseRecord(Buffer.from(line), 0)).toThrow(
      expect.objectContaining({ code: 'INVALID_LOG' }),
    );
  }
  expect(parseRecord(Buffer.from('2026 stdout F not yet'), 0)).toBeUndefined();
  const tagged = parseRecord(Buffer.from('2026 stdout P:x y\n'), 0)!;
  expect(tagged.record.partial).toBe(true);
});
