/** What a shim's `start` may print, and where it says that it listens. */
import { expect, test } from 'vitest';
import { formatBootstrap, parseBootstrap, socketPath } from './bootstrap.ts';

test('plain text is an address of version 2', () => {
  expect(parseBootstrap('unix:///run/s/1\n')).toEqual({
    version: 2,
    address: 'unix:///run/s/1',
    protocol: 'ttrpc',
  });
});

test('JSON says its version and protocol', () => {
  const json = '{"version":3,"address":"unix:///run/s/1","protocol":"TTRPC"}';
  const bootstrap = parseBootstrap(json);
  expect(bootstrap).toEqual({ version: 3, address: 'unix:///run/s/1', protocol: 'ttrpc' });
  expect(parseBootstrap(formatBootstrap(bootstrap, true))).toEqual(bootstrap);
  expect(formatBootstrap(bootstrap, false)).toBe('unix:///run/s/1');
});

test.each([
  ['', /no address/],
  ['usage: shim\n  -id string', /no address/],
  ['{"version":4,"address":"unix:///x","protocol":"ttrpc"}', /version 4/],
  ['{"version":3,"address":"unix:///x","protocol":"grpc"}', /speaks grpc/],
])('%j is refused', (text, message) => {
  expect(() => parseBootstrap(text)).toThrow(message);
});

test('addresses become what connect(2) takes', () => {
  expect(socketPath('unix:///run/s/1')).toBe('/run/s/1');
  expect(socketPath('containerd-shim/abc')).toBe('\0containerd-shim/abc');
  expect(() => socketPath('vsock://3:1024')).toThrow(/vsock/);
});
