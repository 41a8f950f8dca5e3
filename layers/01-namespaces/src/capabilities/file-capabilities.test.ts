import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { O_RDWR } from '../syscalls/constants.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import {
  describeFileCapabilities,
  type FileCapabilities,
  formatFileCapabilities,
  getFileCapabilities,
  parseFileCapabilities,
  parseFileCapabilityText,
  setFileCapabilities,
} from './file-capabilities.ts';

/** What `setcap cap_net_raw=ep` writes on Debian 12. */
const NET_RAW_EP = Uint8Array.from([1, 0, 0, 2, 0, 32, 0, 0, ...Array(12).fill(0)]);

test('the attribute that setcap writes', () => {
  const capabilities = parseFileCapabilityText('cap_net_raw=ep');
  expect(formatFileCapabilities(capabilities)).toEqual(NET_RAW_EP);
  expect(describeFileCapabilities(parseFileCapabilities(NET_RAW_EP))).toBe('cap_net_raw=ep');
});

test('a file in the kernel gets them, the link to it has none', () => {
  const directory = mkdtempSync(join(tmpdir(), 'strata-filecaps-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'program');
  writeFileSync(path, '');
  symlinkSync(path, join(directory, 'link'));
  const sys = localSyscalls();
  const fd = sys.openat2(path, { flags: O_RDWR });
  onTestFinished(() => sys.close(fd));
  expect(getFileCapabilities(sys, path)).toBeUndefined();
  for (const text of ['cap_net_raw=ep', 'cap_kill,cap_chown=i', 'cap_bpf=ip']) {
    setFileCapabilities(sys, fd, parseFileCapabilityText(text));
    expect(describeFileCapabilities(getFileCapabilities(sys, path)!)).toBe(
      text.replace('cap_kill,cap_chown', 'cap_chown,cap_kill'),
    );
  }
  const ofNamespace = { ...parseFileCapabilityText('cap_net_raw=ep'), rootUid: 100_000 };
  setFileCapabilities(sys, fd, ofNamespace);
  expect(getFileCapabilities(sys, path)).toEqual(ofNamespace);
  expect(getFileCapabilities(sys, join(directory, 'link'))).toBeUndefined();
});

test('revision 1 of old archives is read', () => {
  const bytes = Uint8Array.from([1, 0, 0, 1, 2, 0, 0, 0, 4, 0, 0, 128]);
  expect(parseFileCapabilities(bytes)).toEqual({
    permitted: 2n,
    inheritable: 0x80000004n,
    effective: true,
  });
});

test.each([
  'net_raw=ep',
  'cap_net_raw',
  'cap_net_raw=x',
  '=ep',
  '',
  'cap_kill=e',
  'cap_kill=ep cap_chown=p',
])('%j is refused', (text) => {
  expect(() => parseFileCapabilityText(text)).toThrow(
    expect.objectContaining({ code: 'INVALID_CAPABILITY' }),
  );
});

const set = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const some: fc.Arbitrary<FileCapabilities> = fc.record(
  {
    permitted: set,
    inheritable: set,
    effective: fc.boolean(),
    rootUid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
  },
  { requiredKeys: ['permitted', 'inheritable', 'effective'] },
);

test('what is written is read', () => {
  fc.assert(
    fc.property(some, (capabilities) => {
      expect(parseFileCapabilities(formatFileCapabilities(capabilities))).toEqual(capabilities);
    }),
  );
});

test('rubbish is refused with a code', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 32 }), (bytes) => {
      try {
        const capabilities = parseFileCapabilities(bytes);
        expect([12, 20, 24]).toContain(bytes.length);
        expect(capabilities.permitted).toBeLessThan(2n ** 64n);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
        expect(error).toMatchObject({ code: 'INVALID_FILE_CAPABILITIES' });
      }
    }),
  );
});
