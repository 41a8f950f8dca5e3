import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rootDirectory } from './root-directory.ts';

test('--root counts first, from the working directory on', () => {
  expect(rootDirectory('/a/../b', { XDG_RUNTIME_DIR: '/x' })).toBe('/b');
  expect(rootDirectory('b', {})).toBe(`${process.cwd()}/b`);
});

test.each(['/', '', '../../../../../../../../../..', '//'])('%j is refused', (given) => {
  const cwd = process.cwd();
  process.chdir('/');
  try {
    expect(() => rootDirectory(given, {})).toThrow(expect.objectContaining({ code: 'USAGE' }));
  } finally {
    process.chdir(cwd);
  }
});

test("root's containers are in /run whatever its login has set", () => {
  expect(rootDirectory(undefined, {})).toBe('/run/strata/oci');
  expect(rootDirectory(undefined, { XDG_RUNTIME_DIR: '/run/user/0' })).toBe('/run/strata/oci');
});

test("another user's are in the user's directory, which is kept", () => {
  const directory = mkdtempSync(join(tmpdir(), 'strata-xdg-'));
  const geteuid = process.geteuid!;
  process.geteuid = () => 1000;
  try {
    const path = rootDirectory(undefined, { XDG_RUNTIME_DIR: directory });
    expect(path).toBe(`${directory}/strata/oci`);
    expect(statSync(path).mode & 0o7777).toBe(0o1700);
    expect(() => rootDirectory(undefined, { XDG_RUNTIME_DIR: '/dev/null' })).toThrow(
      expect.objectContaining({ code: 'STATE_DIRECTORY' }),
    );
    expect(rootDirectory(undefined, {})).toBe('/run/strata/oci');
  } finally {
    process.geteuid = geteuid;
    rmSync(directory, { recursive: true });
  }
});
