import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { StrataError } from '../errors/strata-error.ts';
import { Stub } from '../stub/stub.ts';
import { CLONE_NEWUSER } from '../syscalls/constants.ts';
import {
  checkIdMap,
  type IdRange,
  idInside,
  idOutside,
  parseIdMap,
  parseIdRange,
  singleId,
  writeIdMaps,
} from './id-map.ts';

const refusal = (message: string): unknown =>
  expect.objectContaining({
    code: 'INVALID_ID_MAP',
    message: expect.stringContaining(message) as unknown,
  });

test('a map of the kernel is read', () => {
  const text = '         0       1000          1\n         1     100000      65536\n';
  expect(parseIdMap(text)).toEqual([
    { inside: 0, outside: 1000, count: 1 },
    { inside: 1, outside: 100_000, count: 65_536 },
  ]);
  expect(parseIdMap('')).toEqual([]);
});

test('any text is a map or a typed error', () => {
  const line = fc.array(fc.constantFrom('0', '4294967295', ' ', '  ', '-1', 'x', '\t'), {
    maxLength: 6,
  });
  const text = fc.oneof(
    fc.string(),
    fc.array(line.map((words) => words.join(''))).map((lines) => lines.join('\n')),
  );
  fc.assert(
    fc.property(text, (some) => {
      try {
        for (const range of parseIdMap(some)) expect(Number.isInteger(range.count)).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_ID_MAP' });
      }
    }),
  );
});

test('a range of a command line', () => {
  expect(parseIdRange('0:100000:65536')).toEqual({ inside: 0, outside: 100_000, count: 65_536 });
  expect(parseIdRange('5:7')).toEqual({ inside: 5, outside: 7, count: 1 });
  for (const text of ['', '0', '0:1:0', '-1:0:1', '0:0:4294967296', '1:4294967295:1', '0x0:1:1']) {
    expect(() => parseIdRange(text), text).toThrow(
      expect.objectContaining({ code: 'INVALID_ID_MAP' }),
    );
  }
});

test('ranges that overlap are named, on either side', () => {
  expect(() => checkIdMap([])).toThrow(refusal('needs a range'));
  expect(() =>
    checkIdMap([
      { inside: 0, outside: 1000, count: 10 },
      { inside: 9, outside: 5000, count: 1 },
    ]),
  ).toThrow(refusal('0:1000:10 and 9:5000:1 overlap inside'));
  expect(() =>
    checkIdMap([
      { inside: 50, outside: 1009, count: 1 },
      { inside: 0, outside: 1000, count: 10 },
    ]),
  ).toThrow(refusal('0:1000:10 and 50:1009:1 overlap outside'));
  const many = Array.from({ length: 341 }, (_, id) => ({ inside: id, outside: id, count: 1 }));
  expect(() => checkIdMap(many)).toThrow(refusal('at most 340 ranges; 341 given'));
  expect(() => checkIdMap(many.slice(1))).not.toThrow();
});

test('an id inside and outside are each other’s', () => {
  const ranges: IdRange[] = [
    { inside: 0, outside: 1000, count: 1 },
    { inside: 1, outside: 100_000, count: 65_536 },
  ];
  expect(idOutside(ranges, 65_536)).toBe(165_535);
  expect(idOutside(ranges, 65_537)).toBeUndefined();
  expect(idInside(ranges, 1000)).toBe(0);
  expect(idInside(ranges, 0)).toBeUndefined();
  for (const id of [0, 1, 77]) expect(idInside(ranges, idOutside(ranges, id)!)).toBe(id);
});

/** What we take, the kernel takes, and the other way round. */
test('the kernel takes and refuses the same maps', () => {
  const id = fc.integer({ min: 0, max: 40 });
  const range = fc.record({
    inside: fc.oneof(id, fc.constantFrom(2 ** 32 - 1, 2 ** 32 - 2)),
    outside: id,
    count: fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(2 ** 32 - 1)),
  });
  using launcher = Stub.spawn();
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 6 }), (ranges) => {
      using child = launcher.clone({ flags: CLONE_NEWUSER });
      let ours = 'taken';
      try {
        checkIdMap(ranges);
      } catch (error) {
        ours = (error as StrataError).code;
      }
      let kernels = 'taken';
      const text = ranges.map((some) => `${some.inside} ${some.outside} ${some.count}\n`).join('');
      try {
        writeFileSync(`/proc/${child.pid}/uid_map`, text);
      } catch {
        kernels = 'INVALID_ID_MAP';
      }
      expect({ ranges, verdict: ours }).toEqual({ ranges, verdict: kernels });
    }),
    { numRuns: 60 },
  );
});

test('as many ranges as there can be; a second map is refused with a hint', () => {
  using launcher = Stub.spawn();
  using child = launcher.clone({ flags: CLONE_NEWUSER });
  const uids = Array.from({ length: 340 }, (_, at) => ({
    inside: at,
    outside: at + 1000,
    count: 1,
  }));
  writeIdMaps(child.pid, { uids, gids: singleId(0, 0), setgroups: 'deny' });
  expect(child.sys.call('getuid')).toBe(65_534);
  expect(child.sys.call('getgid')).toBe(0);
  expect(() => writeIdMaps(child.pid, { uids, gids: uids })).toThrow(
    expect.objectContaining({
      code: 'ID_MAP',
      hint: expect.stringContaining('newuidmap') as unknown,
    }),
  );
  expect(() => child.sys.setgroups([])).toThrow(expect.objectContaining({ code: 'EPERM' }));
});

test('a map longer than the kernel reads says so', () => {
  using launcher = Stub.spawn();
  using child = launcher.clone({ flags: CLONE_NEWUSER });
  const uids = Array.from({ length: 340 }, (_, at) => ({
    inside: at * 10 + 1_000_000,
    outside: at * 10 + 1_000_000,
    count: 2,
  }));
  expect(() => writeIdMaps(child.pid, { uids, gids: uids })).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('less than a page') as unknown }),
  );
});
