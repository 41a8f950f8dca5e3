import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { Stub } from '../stub/stub.ts';
import { KEY_SPEC_SESSION_KEYRING } from '../syscalls/constants.ts';
import {
  describeKey,
  Keyring,
  parseKeyDescription,
  parseKeyUsers,
  readKeyQuotas,
} from './keyring.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

test('a session keyring of its own keeps secrets from the one before', () => {
  using stub = Stub.spawn();
  using other = Stub.spawn();
  const session = Keyring.joinSession(stub.sys, 'strata-test');
  const key = session.add('strata:password', 'opensesame');
  expect(text(stub.sys.readKey(key))).toBe('opensesame');
  expect(session.keys()).toEqual([key]);
  expect(session.search('strata:password')).toBe(key);
  expect(describeKey(stub.sys, key)).toMatchObject({
    type: 'user',
    description: 'strata:password',
  });
  expect(describeKey(stub.sys, session.id)).toMatchObject({
    type: 'keyring',
    description: 'strata-test',
  });
  expect(Keyring.open(stub.sys, KEY_SPEC_SESSION_KEYRING).id).toBe(session.id);
  expect(() => other.sys.readKey(key)).toThrow(expect.objectContaining({ code: 'EACCES' }));
});

test('a key updated, expired, revoked', () => {
  using stub = Stub.spawn();
  const session = Keyring.joinSession(stub.sys, 'strata-test');
  const key = session.add('strata:one', 'first');
  expect(session.add('strata:one', 'second, which is longer'.repeat(20))).toBe(key);
  expect(text(stub.sys.readKey(key))).toHaveLength(460);
  const ring = session.addKeyring('strata:inner');
  stub.sys.linkKey(key, ring.id);
  expect(ring.keys()).toEqual([key]);
  stub.sys.unlinkKey(key, ring.id);
  expect(ring.keys()).toEqual([]);
  stub.sys.setKeyPermissions(key, 0x3f000000);
  expect(describeKey(stub.sys, key).permissions).toBe(0x3f000000);
  stub.sys.revokeKey(key);
  expect(() => stub.sys.readKey(key)).toThrow(expect.objectContaining({ code: 'EKEYREVOKED' }));
  stub.sys.clearKeyring(session.id);
  expect(() => session.search('strata:one')).toThrow(expect.objectContaining({ code: 'ENOKEY' }));
  session.revoke();
  expect(() => session.add('strata:two', 'x')).toThrow(
    expect.objectContaining({ syscall: 'add_key', code: 'EKEYREVOKED' }),
  );
});

test('what an ordinary user adds has a limit, with a hint', () => {
  using stub = Stub.spawn();
  stub.sys.setresuid(54_321);
  const session = Keyring.joinSession(stub.sys, 'strata-test');
  const big = new Uint8Array(8000);
  const fill = (): void => {
    for (let index = 0; index < 300; index++) session.add(`strata:${index}`, big);
  };
  expect(fill).toThrow(
    expect.objectContaining({ code: 'EDQUOT', hint: expect.stringContaining('key-users') }),
  );
  const quota = readKeyQuotas().find(({ uid }) => uid === 54_321)!;
  expect(quota.bytes).toBeGreaterThan(quota.mostBytes - 8192);
});

test('descriptions may have semicolons', () => {
  expect(parseKeyDescription('user;0;0;3f010000;a;b')).toMatchObject({ description: 'a;b' });
});

test('the file of quotas', () => {
  const line = '    0:    68 67/67 48/1000000 1041/25000000\n';
  expect(parseKeyUsers(`${line}${line}`)[1]).toEqual({
    uid: 0,
    keys: 48,
    mostKeys: 1_000_000,
    bytes: 1041,
    mostBytes: 25_000_000,
  });
  expect(parseKeyUsers('')).toEqual([]);
});

test('rubbish is refused with a code', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (rubbish) => {
      for (const parse of [parseKeyDescription, parseKeyUsers]) {
        try {
          parse(rubbish);
        } catch (error) {
          expect(error).toBeInstanceOf(StrataError);
        }
      }
      expect(() => parseKeyUsers(`0: ${rubbish}`)).toThrow(StrataError);
    }),
  );
});
