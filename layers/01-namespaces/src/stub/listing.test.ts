import { expect, test } from 'vitest';
import { CONSTANTS_ADDRESS } from './elf.ts';
import { formatListing } from './listing.ts';
import { stubElf, stubListing } from './program-text.ts';

test.each(['x86-64', 'arm64'] as const)(
  'the listing for %s is the program, byte by byte',
  (arch) => {
    const listing = stubListing(arch);
    const bytes = Buffer.concat(listing.map(({ bytes }) => bytes));
    expect(Buffer.from(stubElf(arch)).subarray(-bytes.length)).toEqual(bytes);
    expect(listing[0]!.address).toBe(CONSTANTS_ADDRESS);
    expect(listing.filter(({ operation }) => operation === 'syscall')).toHaveLength(5);
    // Every jump leads to a label that is listed.
    const labels = new Set(listing.flatMap(({ labels }) => labels));
    for (const { operation, operands } of listing) {
      if (operation.startsWith('jump')) expect(labels).toContain(operands.at(-1));
    }
  },
);

test('as text', () => {
  const lines = formatListing(stubListing('x86-64'));
  expect(lines).toContain('serve:');
  expect(lines.some((line) => / 0f 05 +syscall$/.test(line))).toBe(true);
  expect(lines[0]).toMatch(/^; mmap\(0, 8 MiB/);
});
