import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { parseMountinfo } from './mountinfo.ts';

test('a line with everything', () => {
  const line =
    '36 35 98:0 /sub\\040dir /mnt\\134x rw,noatime master:1 shared:2 - ext3 /dev/r rw,a=b';
  expect(parseMountinfo(`${line}\n`)).toEqual([
    {
      id: 36,
      parentId: 35,
      device: '98:0',
      root: '/sub dir',
      mountPoint: '/mnt\\x',
      options: ['rw', 'noatime'],
      optionalFields: ['master:1', 'shared:2'],
      type: 'ext3',
      source: '/dev/r',
      superOptions: ['rw', 'a=b'],
    },
  ]);
});

test('this process’s own', () => {
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
  expect(mounts.some(({ mountPoint, type }) => mountPoint === '/proc' && type === 'proc')).toBe(
    true,
  );
});

test.each(['x', '1 2 3:4 / / rw', '1 2 3:4 / / rw - ext4 /dev/x', 'a 2 3:4 / / rw - t s o'])(
  '%j is refused with its number',
  (line) => {
    expect(() => parseMountinfo(`\n${line}`)).toThrow(/line 2/);
  },
);

test('random text is refused or parsed and never crashes', () => {
  const line = fc.stringMatching(/^[0-9 :\\/a-z,-]{0,60}$/);
  fc.assert(
    fc.property(fc.array(fc.oneof(line, fc.string())), (lines) => {
      try {
        parseMountinfo(lines.join('\n'));
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
      }
    }),
  );
});
