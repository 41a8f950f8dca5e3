import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Stub } from '../stub/stub.ts';
import { CLONE_NEWTIME } from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import {
  parseClockOffset,
  parseTimeOffsets,
  readTimeOffsets,
  writeTimeOffsets,
} from './time-offsets.ts';

const CLOCK_BOOTTIME = 7;

function bootSeconds(stub: Stub): number {
  const out = new Out(new Uint8Array(16));
  stub.sys.call('clock_gettime', CLOCK_BOOTTIME, out);
  return Number(new DataView(out.bytes.buffer).getBigInt64(0, true));
}

test('an offset of a command line', () => {
  expect(parseClockOffset('86400')).toEqual({ seconds: 86_400, nanoseconds: 0 });
  expect(parseClockOffset('-0.25')).toEqual({ seconds: -1, nanoseconds: 750_000_000 });
  expect(parseClockOffset('+1.000000001')).toEqual({ seconds: 1, nanoseconds: 1 });
  expect(parseClockOffset('-0')).toEqual({ seconds: 0, nanoseconds: 0 });
  for (const text of ['', '1e3', '1.', 'x', '1.0000000001', '--1']) {
    expect(() => parseClockOffset(text), text).toThrow(
      expect.objectContaining({ code: 'INVALID_TIME_OFFSETS' }),
    );
  }
});

test('any text is offsets or a typed error', () => {
  const word = fc.constantFrom('monotonic', 'boottime', ' ', '-1', '0', '\n', '999999999', 'x');
  const text = fc.oneof(
    fc.string(),
    fc.array(word).map((words) => words.join('')),
  );
  fc.assert(
    fc.property(text, (some) => {
      try {
        expect(parseTimeOffsets(some).boottime.nanoseconds).toBeLessThan(1e9);
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_TIME_OFFSETS' });
      }
    }),
  );
});

test('children live in the other time; what is written too late or too far is refused', () => {
  using parent = Stub.spawn();
  parent.sys.unshare(CLONE_NEWTIME);
  const offsets = {
    boottime: { seconds: 1_000_000, nanoseconds: 0 },
    monotonic: { seconds: 5, nanoseconds: 1 },
  };
  const far = { boottime: { seconds: -1_000_000_000, nanoseconds: 0 } };
  expect(() => writeTimeOffsets(parent.pid, far)).toThrow(
    expect.objectContaining({
      code: 'TIME_OFFSETS',
      hint: expect.stringContaining('zero') as unknown,
    }),
  );
  writeTimeOffsets(parent.pid, offsets);
  expect(readTimeOffsets(parent.pid)).toEqual(offsets);
  using child = parent.clone({ flags: 0 });
  const ahead = bootSeconds(child) - bootSeconds(parent);
  expect(Math.abs(ahead - 1_000_000)).toBeLessThanOrEqual(1);
  expect(() => writeTimeOffsets(parent.pid, offsets)).toThrow(
    expect.objectContaining({
      code: 'TIME_OFFSETS',
      hint: expect.stringContaining('before the first') as unknown,
    }),
  );
});
