import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import {
  availableCapabilities,
  CAPABILITIES,
  capabilityMask,
  capabilityNames,
  capabilityNumber,
  lastCapability,
  parseCapabilityState,
  parseLastCapability,
} from './capabilities.ts';

test('numbers are the kernel’s', () => {
  expect(CAPABILITIES).toMatchObject({
    CAP_CHOWN: 0,
    CAP_SYS_ADMIN: 21,
    CAP_CHECKPOINT_RESTORE: 40,
  });
  expect(lastCapability()).toBeGreaterThanOrEqual(37);
});

test('masks and names are inverse', () => {
  const names = ['CAP_KILL', 'CAP_SYS_ADMIN', 'CAP_MKNOD'];
  expect(capabilityMask(names)).toBe((1n << 5n) | (1n << 21n) | (1n << 27n));
  expect(capabilityNames(capabilityMask(names))).toEqual(names);
  expect(capabilityNames(1n << 50n)).toEqual(['CAP_50']);
});

test.each(['KILL', 'cap_kill', 'CAP_BOGUS', '__proto__', ''])('%s is no capability', (name) => {
  expect(() => capabilityMask([name])).toThrow(/unknown capability/);
});

test('names that are none can be left out', () => {
  expect(availableCapabilities(['CAP_BOGUS', 'CAP_KILL', '__proto__'])).toEqual(['CAP_KILL']);
});

test.each(['', '\n', 'x', '-1', '64', '4e1', '40\n40'])('%j is no last capability', (text) => {
  expect(() => parseLastCapability(text)).toThrow(
    expect.objectContaining({ code: 'INVALID_PROC_FILE' }),
  );
});

test('a capability newer than the names goes by its number, if the kernel has it', () => {
  const newest = Object.keys(CAPABILITIES).length - 1;
  expect(capabilityNumber(`CAP_${newest}`)).toBeUndefined(); // it has a name
  const next = `CAP_${newest + 1}`;
  expect(capabilityNumber(next)).toBe(lastCapability() > newest ? newest + 1 : undefined);
  expect(capabilityNumber('CAP_KILL')).toBe(5);
});

test('this process’s sets are read', () => {
  const state = parseCapabilityState(readFileSync('/proc/self/status', 'utf8'));
  expect(state.permitted & state.effective).toBe(state.effective);
});

test('random text is refused and never crashes', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(() => parseCapabilityState(`CapInh:\t${text}`)).toThrow(StrataError);
    }),
  );
});
