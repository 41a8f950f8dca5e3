import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { defaultSpec } from './default-spec.ts';
import { readBundle } from './read-bundle.ts';

let bundle: string;

beforeEach(() => {
  bundle = mkdtempSync(join(tmpdir(), 'strata-bundle-'));
  mkdirSync(join(bundle, 'rootfs'));
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(defaultSpec()));
});
afterEach(() => rmSync(bundle, { recursive: true }));

function withRoot(path: string): void {
  const spec = { ...defaultSpec(), root: { path } };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec));
}

const refusal = (field: string, message: RegExp) =>
  expect.objectContaining({
    code: 'INVALID_CONFIG',
    field,
    message: expect.stringMatching(message),
  });

test('gives the spec and absolute paths', () => {
  expect(readBundle(bundle)).toEqual({
    spec: defaultSpec(),
    bundle,
    rootfs: join(bundle, 'rootfs'),
  });
  const spec = { ...defaultSpec(), root: { path: '/' } };
  expect(readBundle('.', spec)).toEqual({ spec, bundle: process.cwd(), rootfs: '/' });
});

test('a root that is not a directory is refused', () => {
  withRoot('nowhere');
  expect(() => readBundle(bundle)).toThrow(refusal('root.path', /no such file or directory/));
  withRoot('config.json');
  expect(() => readBundle(bundle)).toThrow(refusal('root.path', /is not a directory/));
});

test('a relative root does not leave the bundle through a symbolic link', () => {
  symlinkSync('/', join(bundle, 'link'));
  withRoot('link');
  expect(() => readBundle(bundle)).toThrow(refusal('root.path', /"link" leads through/));
  withRoot('link/etc');
  expect(() => readBundle(bundle)).toThrow(refusal('root.path', /leads through a symbolic link/));
});

test('config.json has to be a regular file of bounded size', () => {
  const config = join(bundle, 'config.json');
  truncateSync(config, (16 << 20) + 1);
  expect(() => readBundle(bundle)).toThrow(refusal('config.json', /larger than 16777216 bytes/));
  rmSync(config);
  expect(() => readBundle(bundle)).toThrow(
    refusal('config.json', /cannot be opened: no such file/),
  );
  mkdirSync(config);
  expect(() => readBundle(bundle)).toThrow(refusal('config.json', /not a regular file/));
  rmSync(config, { recursive: true });
  execFileSync('mkfifo', [config]);
  expect(() => readBundle(bundle)).toThrow(refusal('config.json', /not a regular file/));
  rmSync(config);
  symlinkSync('/dev/zero', config);
  expect(() => readBundle(bundle)).toThrow(refusal('config.json', /not a regular file/));
});
