import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../../errors/strata-error.ts';
import type { DeviceRule } from '../resources.ts';
import { devices } from './devices.ts';

const lines = (rules: readonly DeviceRule[]): string[] =>
  devices({ devices: rules }).map(({ file, value }) => `${file.slice('devices.'.length)} ${value}`);

const DENY_ALL: DeviceRule = { allow: false, access: 'rwm' };

test('types of the spec are those of the kernel', () => {
  expect(lines([{ allow: true, type: 'u', major: 10, minor: 200, access: 'wr' }])).toEqual([
    'allow c 10:200 rw',
  ]);
  expect(lines([{ allow: false, type: 'p', major: 1 }])).toEqual([]);
  expect(lines([{ allow: false, type: '', major: -1 }])[0]).toBe('deny a');
});

test('type a with numbers or less than all access never becomes all', () => {
  expect(lines([{ allow: true, type: 'a', major: 1, minor: 5 }])).toEqual([
    'allow c 1:5 rwm',
    'allow b 1:5 rwm',
  ]);
  expect(lines([{ allow: true, access: 'm' }])).toEqual(['allow c *:* m', 'allow b *:* m']);
});

test('the default devices come behind what the list allows, and before what it denies', () => {
  const tun: DeviceRule = { allow: true, type: 'c', major: 10, minor: 200, access: 'rwm' };
  const tunIsGone = { ...tun, allow: false };
  const allowed = lines([DENY_ALL, tun]);
  expect(allowed.slice(0, 3)).toEqual(['deny a', 'allow c 10:200 rwm', 'allow c *:* m']);
  expect(lines([DENY_ALL, tun, tunIsGone])).toEqual([...allowed, 'deny c 10:200 rwm']);
  const denied: DeviceRule = { allow: false, type: 'c', major: 1, minor: 3, access: 'rwm' };
  expect(lines([DENY_ALL, denied, tun]).slice(-2)).toEqual([
    'deny c 1:3 rwm',
    'allow c 10:200 rwm',
  ]);
  // Of a list that is all taken back nothing is left, nor of one that a second beginning ends.
  expect(lines([DENY_ALL, { allow: true, access: 'rwm' }])).toEqual(['deny a', 'allow a']);
  expect(lines([DENY_ALL, DENY_ALL, tun])).toEqual(['deny a', ...allowed]);
});

test('what the kernel would take and not do is refused', () => {
  const all = { allow: true, type: 'c', major: 1, access: 'rwm' };
  const part = { allow: false, type: 'c', major: 1, minor: 5, access: 'w' };
  expect(() => lines([DENY_ALL, all, part])).toThrow(
    /devices\[2\]: c 1:5 w changes a part of c 1:\*/,
  );
  expect(() => lines([part, all])).toThrow(/devices\[1\]/);
  // Another type, another access, or exactly its like: that can be said.
  expect(lines([all, { ...part, type: 'b' }])).toHaveLength(2);
  expect(lines([{ ...all, access: 'r' }, part])).toHaveLength(2);
  expect(lines([{ ...part, allow: true }, part])).toHaveLength(2);
  // A new beginning forgets what was before.
  expect(lines([all, DENY_ALL, part]).at(-1)).toBe('deny c 1:5 w');
});

test('any list of rules becomes well-formed lines or a StrataError', () => {
  const rule = fc.record(
    {
      allow: fc.boolean(),
      type: fc.constantFrom('a', 'b', 'c', 'u', 'p', ''),
      major: fc.integer({ min: -1, max: 3 }),
      minor: fc.integer({ min: -1, max: 3 }),
      access: fc.constantFrom('', 'r', 'w', 'm', 'mr', 'rwm', 'rr'),
    },
    { requiredKeys: ['allow'] },
  );
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 6 }), (rules) => {
      try {
        for (const line of lines(rules)) {
          expect(line).toMatch(/^(allow|deny) (a|[bc] (\*|\d+):(\*|\d+) r?w?m?)$/);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
      }
    }),
  );
});
