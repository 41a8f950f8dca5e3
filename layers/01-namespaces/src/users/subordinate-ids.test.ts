import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Stub } from '../stub/stub.ts';
import { mapByHelpers, mapsOfSubordinates, parseSubordinateIds } from './subordinate-ids.ts';

const bob = { name: 'bob', uid: 1001 };

test('the blocks of a user, by name and by number', () => {
  const text = '# granted\nbob:100000:65536\nann:1:1\n1001:300000:10\nbob:5:0\n\nann:rubbish\n';
  expect(parseSubordinateIds(text, bob)).toEqual([
    { first: 100_000, count: 65_536 },
    { first: 300_000, count: 10 },
  ]);
  expect(parseSubordinateIds(text, { name: 'eve', uid: 7 })).toEqual([]);
});

test.each(['bob:x:1', 'bob:1', 'bob:1:2:3', 'bob:-1:5', 'bob:4294967295:1', 'bob', 'bob:1: 2'])(
  'a line %j of the user is named',
  (line) => {
    expect(() => parseSubordinateIds(`ann:1:1\n${line}\n`, bob)).toThrow(
      expect.objectContaining({
        code: 'INVALID_SUBID_FILE',
        message: expect.stringContaining(`line 2 is ${JSON.stringify(line)}`) as unknown,
      }),
    );
  },
);

test('any text gives blocks of ids or a typed error', () => {
  const word = fc.constantFrom('bob', ':', '1001', '\n', '4294967294', '-', 'x', '0');
  const text = fc.oneof(
    fc.string(),
    fc.array(word).map((words) => words.join('')),
  );
  fc.assert(
    fc.property(text, (some) => {
      try {
        for (const { first, count } of parseSubordinateIds(some, bob)) {
          expect(first + count).toBeLessThan(2 ** 32);
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_SUBID_FILE' });
      }
    }),
  );
});

test('who is granted nothing is told how to change that', () => {
  expect(() => mapsOfSubordinates({ uid: 3_999_999_999, gid: 1 })).toThrow(
    expect.objectContaining({
      code: 'NO_SUBORDINATE_IDS',
      hint: expect.stringContaining('usermod') as unknown,
    }),
  );
});

test('without newuidmap, it says what to install', () => {
  using stub = Stub.spawn();
  const { PATH } = process.env;
  process.env.PATH = '/nonexistent';
  try {
    const ids = [{ inside: 0, outside: 0, count: 1 }];
    expect(() => mapByHelpers(stub.pid, { uids: ids, gids: ids })).toThrow(
      expect.objectContaining({
        code: 'NO_NEWUIDMAP',
        hint: expect.stringContaining('uidmap') as unknown,
      }),
    );
  } finally {
    process.env.PATH = PATH;
  }
});
