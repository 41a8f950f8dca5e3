import { expect, test } from 'vitest';
import { formatIpAddress, parseInterfaceAddress, parseIpAddress } from './ip-address.ts';
import { checkLinkName } from './links.ts';
import { formatMacAddress, parseMacAddress } from './mac-address.ts';

test.each([
  ['10.88.0.1', '10.88.0.1'],
  ['::', '::'],
  ['::1', '::1'],
  ['fe80::', 'fe80::'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:DB8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['::ffff:10.0.0.1', '::ffff:a00:1'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
])('%s is written back as %s', (text, canonical) => {
  expect(formatIpAddress(parseIpAddress(text))).toBe(canonical);
});

test.each(['', '10.1', '010.0.0.1', '10.0.0.256', 'fe80::1%eth0', ':::', 'example', '1:2:3'])(
  '%j is no address',
  (text) => {
    expect(() => parseIpAddress(text)).toThrow(/not an IP address/);
  },
);

test('an interface address has a prefix within the address', () => {
  expect(parseInterfaceAddress('10.88.0.5/16')).toEqual({ address: '10.88.0.5', prefixLength: 16 });
  for (const text of [
    '10.0.0.1',
    '10.0.0.1/',
    '10.0.0.1/33',
    '10.0.0.1/-1',
    '10.0.0.1/8/8',
    '/8',
  ]) {
    expect(() => parseInterfaceAddress(text)).toThrow();
  }
});

test('hardware addresses', () => {
  expect(formatMacAddress(parseMacAddress('0A:58:0a:58:00:05'))).toBe('0a:58:0a:58:00:05');
  expect(() => parseMacAddress('0a:58:0a:58:00')).toThrow(/not a hardware address/);
  expect(() => parseMacAddress('01:00:5e:00:00:01')).toThrow(/multicast/);
});

test.each(['', '.', '..', 'a/b', 'a b', 'a:b', 'eth%d', 'sixteen-bytes-xx', 'ä'.repeat(8), 'a\0b'])(
  '%j is no interface name',
  (name) => {
    expect(() => checkLinkName(name)).toThrow(/not an interface name/);
  },
);
