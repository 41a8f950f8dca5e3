/**
 * The system call interfaces of a machine. A 64-bit kernel answers 32-bit programs too, with other
 * numbers; a filter that forgets one of them has a hole.
 *
 *   machine   interface    AUDIT_ARCH_*   numbers
 *   x86-64    x86-64       X86_64         from 0
 *             x32          X86_64         from 2^30 (mostly those of x86-64, plus 2^30)
 *             x86          I386           from 0
 *   arm64     arm64        AARCH64        from 0
 *             arm (EABI)   ARM            from 0, and some private ones from 0xf0000
 *
 * @see syscall(2), include/uapi/linux/audit.h
 */

import type { Architecture } from '../syscalls/numbers.ts';
import { ARM_NUMBERS } from '../syscalls/numbers-arm.ts';
import { ARM64_NUMBERS } from '../syscalls/numbers-arm64.ts';
import { I386_NUMBERS } from '../syscalls/numbers-i386.ts';
import { X32_SYSCALL_BIT, x32Number, x32Numbers } from '../syscalls/numbers-x32.ts';
import { X86_64_NUMBERS } from '../syscalls/numbers-x86-64.ts';

export const AUDIT_ARCH_X86_64 = 0xc000_003e;
export const AUDIT_ARCH_I386 = 0x4000_0003;
export const AUDIT_ARCH_AARCH64 = 0xc000_00b7;
export const AUDIT_ARCH_ARM = 0x4000_0028;

export interface SyscallInterface {
  /** SCMP_ARCH_*. */
  name: string;
  auditArch: number;
  /** First and last number that belong to this interface, ones without a system call included. */
  range: readonly [number, number];
  /** Numbers from here to the end of the range are not counted in order: none is "newer". */
  privateFrom?: number;
  /** Width of arguments; the kernel gives those of 32 bits with a high word of zero. */
  argumentBits: 32 | 64;
  /** The number of a system call, if the interface has it. */
  numberOf: (name: string) => number | undefined;
  /** All of them. */
  numbers: () => Readonly<Record<string, number>>;
  /** System calls that also exist as one with a selector: name → [its name, the selector]. */
  multiplexed?: Readonly<Record<string, readonly [string, number]>>;
}

/** What socketcall(2) and ipc(2) stand for, by their first argument. */
const X86_MULTIPLEXED: Record<string, readonly [string, number]> = {
  socket: ['socketcall', 1],
  bind: ['socketcall', 2],
  connect: ['socketcall', 3],
  listen: ['socketcall', 4],
  accept: ['socketcall', 5],
  getsockname: ['socketcall', 6],
  getpeername: ['socketcall', 7],
  socketpair: ['socketcall', 8],
  send: ['socketcall', 9],
  recv: ['socketcall', 10],
  sendto: ['socketcall', 11],
  recvfrom: ['socketcall', 12],
  shutdown: ['socketcall', 13],
  setsockopt: ['socketcall', 14],
  getsockopt: ['socketcall', 15],
  sendmsg: ['socketcall', 16],
  recvmsg: ['socketcall', 17],
  accept4: ['socketcall', 18],
  recvmmsg: ['socketcall', 19],
  sendmmsg: ['socketcall', 20],
  semop: ['ipc', 1],
  semget: ['ipc', 2],
  semctl: ['ipc', 3],
  semtimedop: ['ipc', 4],
  msgsnd: ['ipc', 11],
  msgrcv: ['ipc', 12],
  msgget: ['ipc', 13],
  msgctl: ['ipc', 14],
  shmat: ['ipc', 21],
  shmdt: ['ipc', 22],
  shmget: ['ipc', 23],
  shmctl: ['ipc', 24],
};

function table(
  numbers: Readonly<Record<string, number>>,
): Pick<SyscallInterface, 'numberOf' | 'numbers'> {
  return {
    numberOf: (name) => (Object.hasOwn(numbers, name) ? numbers[name] : undefined),
    numbers: () => numbers,
  };
}

const WHOLE_RANGE = [0, 0xffff_ffff] as const;

const X86_64: SyscallInterface = {
  name: 'SCMP_ARCH_X86_64',
  auditArch: AUDIT_ARCH_X86_64,
  range: [0, X32_SYSCALL_BIT - 1],
  argumentBits: 64,
  ...table(X86_64_NUMBERS),
};
const X32: SyscallInterface = {
  name: 'SCMP_ARCH_X32',
  auditArch: AUDIT_ARCH_X86_64,
  range: [X32_SYSCALL_BIT, 0xffff_ffff],
  argumentBits: 64,
  numberOf: x32Number,
  numbers: x32Numbers,
};
const X86: SyscallInterface = {
  name: 'SCMP_ARCH_X86',
  auditArch: AUDIT_ARCH_I386,
  range: WHOLE_RANGE,
  argumentBits: 32,
  ...table(I386_NUMBERS),
  multiplexed: X86_MULTIPLEXED,
};
const AARCH64: SyscallInterface = {
  name: 'SCMP_ARCH_AARCH64',
  auditArch: AUDIT_ARCH_AARCH64,
  range: WHOLE_RANGE,
  argumentBits: 64,
  ...table(ARM64_NUMBERS),
};
const ARM: SyscallInterface = {
  name: 'SCMP_ARCH_ARM',
  auditArch: AUDIT_ARCH_ARM,
  range: WHOLE_RANGE,
  privateFrom: 0xf_0000,
  argumentBits: 32,
  ...table(ARM_NUMBERS),
};

/** The interfaces of each machine, its own first. */
export const MACHINES: Readonly<Record<Architecture, readonly SyscallInterface[]>> = {
  'x86-64': [X86_64, X32, X86],
  arm64: [AARCH64, ARM],
};

/** What a profile may name. All but those of MACHINES are of machines that Strata does not run on. */
export const KNOWN_ARCHITECTURES: ReadonlySet<string> = new Set(
  `X86_64 X32 X86 AARCH64 ARM MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE
  S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB`
    .split(/\s+/)
    .map((name) => `SCMP_ARCH_${name}`),
);

/** The interfaces that a profile admits on a machine. Those of other machines cannot occur there. */
export function admittedInterfaces(
  machine: Architecture,
  names: readonly string[],
): SyscallInterface[] {
  const [own, ...others] = MACHINES[machine];
  return [own!, ...others.filter(({ name }) => names.includes(name))];
}
