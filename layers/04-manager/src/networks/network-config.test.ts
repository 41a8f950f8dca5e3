import { expect, test } from 'vitest';
import { DEFAULT_NETWORK, type NetworkConfig, resolveNetwork } from './network-config.ts';

const small: NetworkConfig = { name: 'small', bridge: 'br-small', subnet: '10.1.2.0/29' };

test('defaults: the first address is the gateway, the rest is for pods', () => {
  const network = resolveNetwork(small);
  expect(network).toMatchObject({ gateway: '10.1.2.1', ipMasq: false });
  expect([...network.range.after(undefined)]).toEqual([
    '10.1.2.2',
    '10.1.2.3',
    '10.1.2.4',
    '10.1.2.5',
    '10.1.2.6',
  ]);
  expect(`${resolveNetwork(DEFAULT_NETWORK).range}`).toBe('10.88.0.1-10.88.255.254');
});

test('round robin goes on after the last address and skips the gateway', () => {
  const { range } = resolveNetwork({ ...small, gateway: '10.1.2.6' });
  expect([...range.after('10.1.2.4')]).toEqual([
    '10.1.2.5',
    '10.1.2.1',
    '10.1.2.2',
    '10.1.2.3',
    '10.1.2.4',
  ]);
  expect([...range.after('10.1.2.5')][0]).toBe('10.1.2.1');
  expect([...range.after('192.168.0.1')][0]).toBe('10.1.2.1');
});

test('a part of the subnet can be set aside for pods', () => {
  const network = resolveNetwork({ ...small, rangeStart: '10.1.2.4', rangeEnd: '10.1.2.5' });
  expect([...network.range.after(undefined)]).toEqual(['10.1.2.4', '10.1.2.5']);
  expect(network.gateway).toBe('10.1.2.1');
});

test.each<[string, Partial<NetworkConfig>, RegExp]>([
  ['a path as name', { name: '../../etc' }, /not a network name: "\.\.\/\.\.\/etc"/],
  ['a hidden name', { name: '.hidden' }, /not a network name/],
  ['an empty name', { name: '' }, /not a network name/],
  ['a name with a NUL', { name: 'a\0b' }, /not a network name/],
  ['a name with a newline', { name: 'a\n' }, /not a network name/],
  ['an endless name', { name: 'a'.repeat(10_000) }, /not a network name/],
  ['a name that is no text', { name: 7 as unknown as string }, /not a network name: 7/],
  ['a long bridge name', { bridge: 'a-bridge-name-too-long' }, /not an interface name/],
  ['a bridge name with a slash', { bridge: '../x' }, /not an interface name/],
  ['no prefix', { subnet: '10.1.2.0' }, /not ADDRESS\/PREFIX/],
  ['host bits', { subnet: '10.1.2.3/24' }, /the network is 10\.1\.2\.0\/24/],
  ['a tiny subnet', { subnet: '10.1.2.0/31' }, /prefix from 8 to 30/],
  ['IPv6', { subnet: 'fd00::/64' }, /is not IPv4/],
  ['a foreign gateway', { gateway: '10.9.9.9' }, /gateway: 10\.9\.9\.9 is not within/],
  ['the broadcast address as gateway', { gateway: '10.1.2.7' }, /is not within/],
  ['a range outside', { rangeStart: '10.1.3.1' }, /range: 10\.1\.3\.1 to 10\.1\.2\.6/],
  ['a backward range', { rangeStart: '10.1.2.5', rangeEnd: '10.1.2.4' }, /is not within/],
  ['a strange MTU', { mtu: 20 }, /mtu: 20 is not between 68 and 65535/],
])('%s is refused', (_, change, message) => {
  expect(() => resolveNetwork({ ...small, ...change })).toThrow(message);
});
