/**
 * The tables of system calls against two witnesses: the kernel's headers (Debian's linux-libc-dev,
 * which may be older than the tables) and the running kernel (which may be newer).
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ENOSYS } from '../errors/errno.ts';
import { lastErrno, rawSyscall } from './libc.ts';
import { hostArchitecture } from './numbers.ts';
import { ARM_NUMBERS } from './numbers-arm.ts';
import { ARM64_NUMBERS } from './numbers-arm64.ts';
import { I386_NUMBERS } from './numbers-i386.ts';
import { X32_SYSCALL_BIT, x32Numbers } from './numbers-x32.ts';
import { X86_64_NUMBERS } from './numbers-x86-64.ts';

const INCLUDE = '/usr/include/x86_64-linux-gnu/asm';

/** What asm-generic/unistd.h has only for 32-bit machines, or not as a system call. */
const NOT_ARM64 = new RegExp(
  [
    '_time64$|^(clock|timer)_\\w+64$|^f?(statfs|truncate)64$|^fstat(at)?64$',
    '^(fcntl64|sendfile64|fadvise64_64|_?llseek|mmap2|sync_file_range2)$',
    '^(arch_specific_syscall|syscalls)$',
  ].join('|'),
);

const WITNESSES = [
  ['x86-64', `${INCLUDE}/unistd_64.h`, X86_64_NUMBERS],
  ['x86', `${INCLUDE}/unistd_32.h`, I386_NUMBERS],
  ['x32', `${INCLUDE}/unistd_x32.h`, x32Numbers()],
  ['arm64', '/usr/include/asm-generic/unistd.h', ARM64_NUMBERS],
  ['arm', '/usr/arm-linux-gnueabihf/include/asm/unistd-eabi.h', ARM_NUMBERS],
] as const;

/** `#define __NR_name 12`, with a base, or by way of __NR3264_other. */
function headerNumbers(text: string): Record<string, number> {
  const defined = new Map<string, number>();
  for (const [, name, base, value] of text.matchAll(
    /^#define\s+__(NR\w+)\s+\(?(?:(__\w+)(?:\s*\+\s*)?)?(\d+)?\)?/gm,
  )) {
    const start =
      base === undefined || base === '__NR_SYSCALL_BASE'
        ? 0
        : base === '__X32_SYSCALL_BIT'
          ? X32_SYSCALL_BIT
          : defined.get(base.slice(2));
    if (start !== undefined) defined.set(name!, start + Number(value ?? 0));
  }
  const calls = [...defined].filter(([name]) => name.startsWith('NR_'));
  return Object.fromEntries(calls.map(([name, number]) => [name.slice(3), number]));
}

describe.each(WITNESSES)('the table of %s', (machine, header, numbers) => {
  test.skipIf(!existsSync(header))(`has what ${header} has`, () => {
    const wanted = headerNumbers(readFileSync(header, 'utf8'));
    expect(Object.keys(wanted).length).toBeGreaterThan(250);
    const isMeant = (name: string): boolean => machine !== 'arm64' || !NOT_ARM64.test(name);
    const names = Object.keys(wanted).filter(isMeant);
    const found = Object.fromEntries(
      names.map((name) => [name, new Map(Object.entries(numbers)).get(name)]),
    );
    expect(found).toEqual(Object.fromEntries(names.map((name) => [name, wanted[name]])));
  });

  test('has no number twice, and the calls of Linux 6.18', () => {
    // Two names of one call.
    const { arm_sync_file_range: _, ...distinct } = { arm_sync_file_range: 0, ...numbers };
    const all = Object.values(distinct);
    expect(new Set(all).size).toBe(all.length);
    const base = machine === 'x32' ? X32_SYSCALL_BIT : 0;
    expect(numbers).toMatchObject({ open_tree_attr: base + 467, file_setattr: base + 469 });
  });
});

// With every argument -1, a call that is unknown here finds no descriptor, pointer or flag to use.
test.skipIf(hostArchitecture() !== 'x86-64')(
  'the running kernel has no call that is not in the table',
  () => {
    const known = new Set<number>(Object.values(X86_64_NUMBERS));
    const last = Math.max(...known);
    const isHere = (number: number): boolean =>
      rawSyscall(number, -1, -1, -1, -1, -1, -1) !== -1 || lastErrno() !== ENOSYS;
    const unknown: number[] = [];
    for (let number = 0; number <= last; number++) {
      if (!known.has(number) && isHere(number)) unknown.push(number);
    }
    expect(unknown).toEqual([]);
  },
);
