import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { type Freezer, freeze, isFreezing, thaw, tryFreeze } from './freezer.ts';

// The files of v2 in a plain directory: the kernel's part, cgroup.events, is played by the test.
let freezer: Freezer;

const read = (): string => readFileSync(join(freezer.directory, 'cgroup.freeze'), 'utf8');

const events = (frozen: 0 | 1): void =>
  writeFileSync(join(freezer.directory, 'cgroup.events'), `populated 1\nfrozen ${frozen}\n`);

beforeEach(() => {
  freezer = { version: 2, directory: mkdtempSync(join(tmpdir(), 'strata-freezer-')) };
  writeFileSync(join(freezer.directory, 'cgroup.freeze'), '0\n');
  events(0);
});

afterEach(() => rmSync(freezer.directory, { recursive: true }));

test('v2 is frozen when its events say so', () => {
  events(1);
  freeze(freezer, 1000);
  expect(read()).toBe('1');
  expect(isFreezing(freezer)).toBe(true);
  thaw(freezer);
  expect(read()).toBe('0');
  expect(isFreezing(freezer)).toBe(false);
});

test('what does not freeze in the time is thawed again, and named', () => {
  expect(() => freeze(freezer, 5)).toThrow(
    expect.objectContaining({
      code: 'FREEZE_TIMEOUT',
      path: join(freezer.directory, 'cgroup.freeze'),
    }),
  );
  expect(read()).toBe('0');
});

test('trying to freeze leaves it freezing', () => {
  expect(tryFreeze(freezer, 5)).toBe(false);
  expect(isFreezing(freezer)).toBe(true);
});

test('a cgroup that has vanished is not freezing, and freezing it is an error', () => {
  const gone: Freezer = { version: 2, directory: `${freezer.directory}/gone` };
  expect(isFreezing(gone)).toBe(false);
  expect(() => freeze(gone, 5)).toThrow(StrataError);
  expect(() => thaw(gone)).toThrow(/gone\/cgroup\.freeze: ENOENT/);
});
