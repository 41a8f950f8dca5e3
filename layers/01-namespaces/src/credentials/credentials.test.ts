import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Stub } from '../stub/stub.ts';
import { decodePersonality, encodePersonality } from './personality.ts';
import { SECUREBITS, securebitsMask, securebitsNames } from './securebits.ts';

test('securebits are set, and a lock holds', () => {
  using stub = Stub.spawn();
  const { sys } = stub;
  const locked = securebitsMask(['no-setuid-fixup', 'no-setuid-fixup-locked']);
  sys.setSecurebits(locked);
  expect(securebitsNames(sys.getSecurebits())).toEqual([
    'no-setuid-fixup',
    'no-setuid-fixup-locked',
  ]);
  sys.setSecurebits(locked | SECUREBITS['keep-caps']!);
  expect(() => sys.setSecurebits(0)).toThrow(
    expect.objectContaining({ code: 'EPERM', hint: expect.stringMatching(/lock/) }),
  );
});

test('with no-setuid-fixup a change of uid takes nothing', () => {
  using stub = Stub.spawn();
  const before = stub.sys.capget();
  expect(before.effective).not.toBe(0n);
  stub.sys.setSecurebits(securebitsMask(['no-setuid-fixup']));
  stub.sys.setresuid(1000);
  expect(stub.sys.capget()).toEqual(before);
});

test('the bits have the kernel’s numbers', () => {
  expect(SECUREBITS).toMatchObject({ noroot: 1, 'noroot-locked': 2, 'no-cap-ambient-raise': 64 });
  expect(securebitsNames(1 << 14)).toEqual(['bit-14']);
  expect(() => securebitsMask(['constructor'])).toThrow(
    expect.objectContaining({ code: 'INVALID_SECUREBIT' }),
  );
});

test('names and masks are inverse', () => {
  fc.assert(
    fc.property(fc.subarray(Object.keys(SECUREBITS)), (names) => {
      expect(securebitsNames(securebitsMask(names)).sort()).toEqual([...names].sort());
    }),
  );
});

test('no_new_privs is set for good', () => {
  using stub = Stub.spawn();
  expect(stub.sys.getNoNewPrivileges()).toBe(false);
  stub.sys.setNoNewPrivileges();
  expect(stub.sys.getNoNewPrivileges()).toBe(true);
});

test('a personality is taken on', () => {
  using stub = Stub.spawn();
  const wanted = { domain: 'LINUX32', flags: ['ADDR_NO_RANDOMIZE'] };
  stub.sys.personality(encodePersonality(wanted));
  expect(decodePersonality(stub.sys.getPersonality())).toEqual(wanted);
});

test.each([
  [{ domain: 'BSD' }, 'domain'],
  [{ domain: 'valueOf' }, 'domain'],
  [{ domain: 'LINUX', flags: ['FAST'] }, 'flags'],
])('personality %j is refused', (personality, key) => {
  expect(() => encodePersonality(personality)).toThrow(
    expect.objectContaining({ field: `linux.personality.${key}` }),
  );
});

test('a domain without a name has a number', () => {
  expect(decodePersonality(0x42)).toEqual({ domain: 'PER_66' });
});
