import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { parseMountinfo } from './mountinfo.ts';
import { parsePropagation } from './propagation.ts';

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

test.each([
  'x',
  '1 2 3:4 / / rw',
  '1 2 3:4 / / rw - ext4 /dev/x',
  'a 2 3:4 / / rw - t s o',
  '1 2 3:4 / mnt rw - t s o',
  '1 2 3:4  /mnt rw - t s o',
  '1 2 3:4 / /mnt rw -  s o',
  '12345678901 2 3:4 / / rw - t s o',
  // Escapes that the kernel does not write: of another character, cut short, no octal number.
  '1 2 3:4 / /\\101 rw - t s o',
  '1 2 3:4 / /mnt\\04 rw - t s o',
  '1 2 3:4 /\\ /mnt rw - t s o',
  '1 2 3:4 / /mnt rw - t\\999 s o',
  '1 2 3:4 / /mnt rw - t C:\\ o',
])('%j is refused with its number', (line) => {
  expect(() => parseMountinfo(`\n${line}`)).toThrow(
    expect.objectContaining({
      code: 'INVALID_MOUNTINFO',
      message: expect.stringMatching(/line 2/),
    }),
  );
});

test('options of the superblock may have backslashes of their own', () => {
  const options = 'rw,lowerdir=/a\\054b,aname=drvfs;path=C:\\;x y';
  const [mount] = parseMountinfo(`1 2 3:4 / /c rw - 9p C:\\134 ${options}`);
  expect(mount).toMatchObject({
    source: 'C:\\',
    superOptions: ['rw', 'lowerdir=/a,b', 'aname=drvfs;path=C:\\;x y'],
  });
});

/** As mangle_path() of the kernel writes a path, or seq_escape() a source. */
const escaped = (text: string): string =>
  text.replace(/[ \t\n\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);

const anyName = fc
  .string({ unit: fc.oneof(fc.constantFrom(...' \t\n\\#-:,0147/'), fc.string({ minLength: 1 })) })
  // Half a surrogate pair is no UTF-8, so no file has such a name.
  .filter((name) => !name.includes('\0') && name.isWellFormed());
const anyNumber = fc.nat(2 ** 31 - 1);
const anyMount = fc.record({
  id: anyNumber,
  parentId: anyNumber,
  device: fc.tuple(anyNumber, anyNumber).map(([major, minor]) => `${major}:${minor}`),
  root: anyName.map((name) => `/${name}`),
  mountPoint: anyName.map((name) => `/${name}`),
  options: fc.subarray(['rw', 'nosuid', 'nodev', 'relatime'], { minLength: 1 }),
  optionalFields: fc.subarray(['shared:1', 'master:22', 'propagate_from:3', 'unbindable']),
  type: fc.constantFrom('ext4', 'fuse.sshfs', 'a b'),
  source: anyName,
  superOptions: fc.subarray(['rw', 'size=4k', 'mode=755'], { minLength: 1 }),
});

test('whatever names the kernel writes are read back', () => {
  fc.assert(
    fc.property(fc.array(anyMount), (mounts) => {
      const lines = mounts.map((mount) =>
        [
          mount.id,
          mount.parentId,
          mount.device,
          escaped(mount.root),
          escaped(mount.mountPoint),
          mount.options.join(','),
          ...mount.optionalFields,
          '-',
          escaped(mount.type),
          escaped(mount.source),
          mount.superOptions.join(','),
        ].join(' '),
      );
      expect(parseMountinfo(lines.map((line) => `${line}\n`).join(''))).toEqual(mounts);
    }),
  );
});

test('a byte changed, lost or added is refused or read as something well-formed', () => {
  const good = '36 35 98:0 /a\\040b /mnt\\134x rw,noatime master:1 shared:2 - ext3 /dev/r rw,a=b';
  const place = fc.nat(good.length);
  fc.assert(
    fc.property(place, fc.nat(3), fc.string({ maxLength: 3 }), (at, cut, put) => {
      const text = good.slice(0, at) + put + good.slice(at + cut);
      try {
        for (const mount of parseMountinfo(text)) {
          expect(mount.mountPoint.startsWith('/')).toBe(true);
          expect(Number.isSafeInteger(mount.id) && Number.isSafeInteger(mount.parentId)).toBe(true);
          parsePropagation(mount.optionalFields);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
        expect((error as StrataError).code).toBe('INVALID_MOUNTINFO');
      }
    }),
    { numRuns: 2000 },
  );
});

test('random bytes are refused or parsed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parseMountinfo(new TextDecoder().decode(bytes));
      } catch (error) {
        expect((error as StrataError).code).toBe('INVALID_MOUNTINFO');
      }
    }),
    { numRuns: 2000 },
  );
});

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
