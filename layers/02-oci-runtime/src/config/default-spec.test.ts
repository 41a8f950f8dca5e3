import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { defaultSpec, rootlessSpec } from './default-spec.ts';
import type { Spec } from './spec.ts';
import { validateSpec } from './validate.ts';

const RUNC = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path));

function runcSpec(...flags: string[]): Spec {
  const directory = mkdtempSync(join(tmpdir(), 'strata-runc-spec-'));
  try {
    execFileSync(RUNC!, ['spec', ...flags], { cwd: directory });
    return JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What is each runtime's own: the version it implements, its name, and a mask that runc 1.1 lacks. */
const common = (spec: Spec): Spec => {
  const maskedPaths = spec.linux!.maskedPaths!.filter((path) => !path.endsWith('/powercap'));
  return { ...spec, linux: { ...spec.linux, maskedPaths }, ociVersion: '', hostname: '' };
};

test.skipIf(!RUNC)('the default spec is what runc spec writes', () => {
  expect(common(defaultSpec())).toEqual(common(runcSpec()));
});

test.skipIf(!RUNC)('the rootless spec is what runc spec --rootless writes', () => {
  expect(common(rootlessSpec())).toEqual(common(runcSpec('--rootless')));
});

test('each call gives a spec of its own', () => {
  defaultSpec().mounts!.length = 0;
  expect(validateSpec(defaultSpec()).mounts).toHaveLength(7);
});
