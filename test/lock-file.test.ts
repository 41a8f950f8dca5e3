/** The lock file is one that `npm ci` accepts, and says which bytes each package has. */
import { expect, test } from 'vitest';
import { missingPackages, readLockedPackages } from '../scripts/complete-lock-file.ts';

test('no optional package is missing: node scripts/complete-lock-file.ts', () => {
  expect(missingPackages(readLockedPackages())).toEqual({});
});

test('a missing one is found, with its platform', () => {
  const packages = { 'node_modules/a': { optionalDependencies: { '@a/windows-64': '1.2.3' } } };
  expect(missingPackages(packages)).toEqual({
    'node_modules/@a/windows-64': { version: '1.2.3', os: ['win32'], cpu: ['x64'], optional: true },
  });
});
