import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import {
  availableCapabilities,
  CAPABILITIES,
  capabilityMask,
  capabilityNames,
  lastCapability,
  parseCapabilityState,
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
