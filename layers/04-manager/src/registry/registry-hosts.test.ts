import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { registryEndpoints } from './registry-hosts.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'strata-hosts-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(host: string, text: string, name = 'hosts.toml'): string {
  mkdirSync(join(root, host), { recursive: true });
  writeFileSync(join(root, host, name), text);
  return join(root, host, name);
}

const endpoints = (domain: string, insecure = false) =>
  registryEndpoints(domain, { directories: [join(root, 'none'), root], insecure });
const bases = (domain: string) => endpoints(domain).map(({ base }) => base.href);

test('without a file: the registry itself', () => {
  expect(bases('registry.example')).toEqual(['https://registry.example/v2/']);
  expect(bases('docker.io')).toEqual(['https://registry-1.docker.io/v2/']);
  expect(bases('127.0.0.1:5000')).toEqual(['http://127.0.0.1:5000/v2/']);
  expect(endpoints('registry.example', true)[0]!.base.href).toBe('http://registry.example/v2/');
});

test('reads what containerd’s documentation shows', () => {
  const ca = write('docker.io', 'CA', 'ca.pem');
  write('docker.io', 'CERT', 'cert.pem');
  write('docker.io', 'KEY', 'key.pem');
  const file = write(
    'docker.io',
    `server = "https://registry-1.docker.io"
     [host."https://public-mirror.example"]
       capabilities = ["pull"]
     [host."http://10.0.0.1:5000"]
       capabilities = ["pull", "resolve", "push"]
       skip_verify = true
       ca = "${ca}"
       client = [["cert.pem", "key.pem"]]
       [host."http://10.0.0.1:5000".header]
         X-Team = ["a", "b"]
     [host."https://proxy.example/v2/hub/"]
       override_path = true
     [host."https://other.example/root"]`,
  );
  const found = endpoints('docker.io');
  expect(found.map(({ base }) => base.href)).toEqual([
    'https://public-mirror.example/v2/',
    'http://10.0.0.1:5000/v2/',
    'https://proxy.example/v2/hub/',
    'https://other.example/root/v2/',
    'https://registry-1.docker.io/v2/',
  ]);
  expect(found[0]!.capabilities).toEqual(['pull']);
  expect(found[1]).toMatchObject({
    source: file,
    headers: { 'x-team': 'a, b' },
    tls: { skipVerify: true, ca: ['CA'], certificate: 'CERT', key: 'KEY' },
  });
  expect(found[4]!.capabilities).toEqual(['pull', 'resolve', 'push']);
});

test('a directory by host and port, by host, or for all others', () => {
  write('_default', '[host."https://all.example"]');
  write('one.example_5000_', '[host."https://one.example"]');
  write('two.example:5000', '[host."https://two.example"]');
  expect(bases('one.example:5000')[0]).toBe('https://one.example/v2/');
  expect(bases('two.example:5000')[0]).toBe('https://two.example/v2/');
  expect(bases('three.example')).toEqual(['https://all.example/v2/', 'https://three.example/v2/']);
});

test('certificates as Docker has them, where there is no hosts.toml', () => {
  write('registry.example', 'AUTHORITY', 'ca.crt');
  write('registry.example', 'OURS', 'client.cert');
  write('registry.example', 'SECRET', 'client.key');
  expect(endpoints('registry.example')[0]!.tls).toEqual({
    ca: ['AUTHORITY'],
    certificate: 'OURS',
    key: 'SECRET',
  });
});

test.each([
  ['server = 7', 'server: is no string'],
  ['server = "ftp://x"', 'ftp://x'],
  ['[host."https://a b"]', 'is no URL'],
  ['[host]\n"https://x" = "y"', 'host."https://x": is no table'],
  ['[host."https://x"]\ncapabilities = ["pull", "fly"]', '"fly" is not one of pull, resolve, push'],
  ['[host."https://x"]\nskip_verify = "yes"', 'host."https://x".skip_verify: is neither true'],
  ['[host."https://x"]\nca = "missing.pem"', 'host."https://x".ca: cannot read'],
  ['[host."https://x".header]\na = [1]', 'host."https://x".header.a: is no string'],
  ['[host."https://x"', 'Invalid'],
])('%j is an error that names file and key', (text, message) => {
  const file = write('registry.example', text);
  expect(() => endpoints('registry.example')).toThrow(
    expect.objectContaining({ code: 'INVALID_CONFIG', path: expect.stringContaining(root) }),
  );
  expect(() => endpoints('registry.example')).toThrow(message);
  expect(() => endpoints('registry.example')).toThrow(file);
});
