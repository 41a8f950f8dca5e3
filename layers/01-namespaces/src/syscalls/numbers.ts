/**
 * The system calls Strata can name, and their numbers on the machine it runs on.
 *
 * Some calls of x86-64 do not exist on arm64 (`open`, `mkdir`, `fork`): the vocabulary uses the
 * `*at` forms, which both have.
 */
import { ARM64_NUMBERS } from './numbers-arm64.ts';
import { X86_64_NUMBERS } from './numbers-x86-64.ts';

export type Architecture = 'x86-64' | 'arm64';
export type SyscallName = keyof typeof X86_64_NUMBERS | keyof typeof ARM64_NUMBERS;

const TABLES: Record<Architecture, Readonly<Partial<Record<SyscallName, number>>>> = {
  'x86-64': X86_64_NUMBERS,
  arm64: ARM64_NUMBERS,
};

/** The architecture this process runs on; throws on one that Strata has no stub for. */
export function hostArchitecture(): Architecture {
  if (process.arch === 'x64') return 'x86-64';
  if (process.arch === 'arm64') return 'arm64';
  throw new Error(`Strata runs on x86-64 and arm64; this is ${process.arch}`);
}

/** The number of a system call, or undefined where the architecture does not have it. */
export function syscallNumber(
  name: SyscallName,
  architecture: Architecture = hostArchitecture(),
): number | undefined {
  return TABLES[architecture][name];
}
