import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import type { Architecture } from '../syscalls/numbers.ts';
import { AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, MACHINES } from './architectures.ts';
import { compileSeccomp } from './compile.ts';
import { decodeInstructions } from './instruction.ts';
import { interpretSeccomp, type SeccompData } from './interpret.ts';
import { naiveVerdict } from './naive-verdict.ts';
import type { SeccompProfile, SeccompProfileArgument, SeccompProfileRule } from './profile.ts';

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const errno = (number: number): number => 0x50000 + number;

const NAMES = [
  ...['read', 'write', 'open', 'openat', 'socket', 'connect', 'recv', 'socketcall', 'ipc', 'semop'],
  ...['shmget', 'clone', 'clone3', 'rt_sigaction', 'execve', 'ioctl', 'personality', 'mmap2'],
  ...['set_tls', 'cacheflush', 'getpid', 'futex_waitv', 'no_such_call', 'constructor', 'io_setup'],
];
const ACTIONS = [
  ...['KILL', 'KILL_PROCESS', 'KILL_THREAD', 'TRAP', 'ERRNO', 'TRACE', 'ALLOW', 'LOG', 'NOTIFY'],
].map((name) => `SCMP_ACT_${name}`);
const OPERATORS = ['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ'].map((op) => `SCMP_CMP_${op}`);
const INTERESTING = [0n, 1n, 5n, 0xffffffffn, 1n << 32n, (1n << 32n) + 5n, (1n << 64n) - 1n];

const word = fc.oneof(
  fc.constantFrom(...INTERESTING),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
const optionalErrno = fc.option(fc.integer({ min: 0, max: 4095 }), { nil: undefined });
const argument: fc.Arbitrary<SeccompProfileArgument> = fc.record({
  index: fc.integer({ min: 0, max: 5 }),
  value: word,
  valueTwo: word,
  op: fc.constantFrom(...OPERATORS),
});
/** Only these two may have a number beside them. */
const errnoFor = (action: string, errnoRet: number | undefined): number | undefined =>
  /ERRNO|TRACE/.test(action) ? errnoRet : undefined;
const rule = fc
  .record({
    names: fc.subarray(NAMES, { minLength: 1, maxLength: 6 }),
    action: fc.constantFrom(...ACTIONS),
    errnoRet: optionalErrno,
    args: fc.array(argument, { maxLength: 4 }),
  })
  .map((any) => ({
    ...any,
    errnoRet: errnoFor(any.action, any.errnoRet),
  })) as fc.Arbitrary<SeccompProfileRule>;
const profile = fc
  .record({
    defaultAction: fc.constantFrom(...ACTIONS),
    defaultErrnoRet: optionalErrno,
    architectures: fc.subarray([
      'SCMP_ARCH_X86',
      'SCMP_ARCH_X32',
      'SCMP_ARCH_ARM',
      'SCMP_ARCH_MIPS',
    ]),
    syscalls: fc.array(rule, { maxLength: 12 }),
  })
  .map((any) => ({
    ...any,
    defaultErrnoRet: errnoFor(any.defaultAction, any.defaultErrnoRet),
  })) as fc.Arbitrary<SeccompProfile>;

/** A call through some interface of the machine, mostly one that rules may be about. */
function call(machine: Architecture): fc.Arbitrary<SeccompData> {
  return fc
    .record({
      via: fc.constantFrom(...MACHINES[machine]),
      name: fc.constantFrom(...NAMES),
      other: fc.integer({ min: 0, max: 0xffffffff }),
      add: fc.constantFrom(0, 0, 0, 1, 0x40000000),
      arch: fc.constantFrom(undefined, undefined, undefined, undefined, 0x1234),
      args: fc.array(word, { minLength: 6, maxLength: 6 }),
    })
    .map(({ via, name, other, add, arch, args }) => ({
      nr: ((new Map(Object.entries(via.numbers())).get(name) ?? other) + add) >>> 0,
      arch: arch ?? via.auditArch,
      args: via.argumentBits === 32 ? args.map((arg) => arg & 0xffffffffn) : args,
    }));
}

describe.each(['x86-64', 'arm64'] as const)('on %s', (machine) => {
  test('a program does what the profile says', () => {
    fc.assert(
      fc.property(profile, fc.array(call(machine), { minLength: 20 }), (anyProfile, calls) => {
        const { program } = compileSeccomp(anyProfile, { architecture: machine });
        for (const data of calls) {
          const wanted = naiveVerdict(anyProfile, machine, data);
          expect({ data, value: interpretSeccomp(program, data).value }).toEqual({
            data,
            value: wanted,
          });
        }
      }),
      { numRuns: 150 },
    );
  });
});

function verdict(anyProfile: SeccompProfile, data: SeccompData): number {
  const { program } = compileSeccomp(anyProfile, { architecture: 'x86-64' });
  return interpretSeccomp(program, data).value;
}
const x86_64 = (nr: number, ...args: bigint[]): SeccompData => ({
  nr,
  arch: AUDIT_ARCH_X86_64,
  args,
});

test('numbers beyond the profile get ENOSYS where the default refuses', () => {
  const refusing: SeccompProfile = {
    defaultAction: 'SCMP_ACT_ERRNO',
    syscalls: [{ names: ['read', 'openat2'], action: 'SCMP_ACT_ALLOW' }],
  };
  expect(verdict(refusing, x86_64(437))).toBe(ALLOW);
  expect(verdict(refusing, x86_64(436))).toBe(errno(1));
  expect(verdict(refusing, x86_64(438))).toBe(errno(38));
  expect(verdict({ ...refusing, defaultErrnoRet: 13 }, x86_64(2))).toBe(errno(13));
  expect(verdict({ ...refusing, defaultAction: 'SCMP_ACT_LOG' }, x86_64(438))).toBe(0x7ffc0000);
});

test('an interface that is not admitted is no way around', () => {
  const lenient: SeccompProfile = { defaultAction: 'SCMP_ACT_ALLOW' };
  expect(verdict(lenient, x86_64(1))).toBe(ALLOW);
  expect(verdict(lenient, x86_64(0x40000001))).toBe(KILL_PROCESS);
  expect(verdict(lenient, { nr: 4, arch: AUDIT_ARCH_I386 })).toBe(KILL_PROCESS);
  const withX86 = { ...lenient, architectures: ['SCMP_ARCH_X86'] };
  expect(verdict(withX86, { nr: 4, arch: AUDIT_ARCH_I386 })).toBe(ALLOW);
});

test('far jumps are bridged', () => {
  const syscalls = Array.from({ length: 300 }, (_, value) => ({
    names: ['ioctl'],
    action: 'SCMP_ACT_ERRNO',
    errnoRet: value,
    args: [{ index: 1, value: value * 7, op: 'SCMP_CMP_EQ' }],
  }));
  const many: SeccompProfile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls };
  for (const value of [0, 1, 150, 299]) {
    expect(verdict(many, x86_64(16, 0n, BigInt(value * 7)))).toBe(errno(value));
  }
  expect(verdict(many, x86_64(16, 0n, 3n))).toBe(ALLOW);
});

test('a program the kernel would not take is refused', () => {
  const syscalls = Array.from({ length: 3000 }, (_, value) => ({
    names: ['ioctl'],
    action: 'SCMP_ACT_ERRNO',
    errnoRet: value,
    args: [{ index: 1, value: value * 7, op: 'SCMP_CMP_EQ' }],
  }));
  const compile = () => compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', syscalls });
  expect(compile).toThrow(StrataError);
  expect(compile).toThrow(/^linux.seccomp: \d+ instructions, the kernel takes 4096$/);
});

test.each([
  [{ defaultAction: 'DENY' }, 'linux.seccomp.defaultAction'],
  [{ flags: ['X'] }, 'linux.seccomp.flags[0]'],
  [{ syscalls: [{ names: ['read'], action: 'toString' }] }, 'linux.seccomp.syscalls[0].action'],
  [
    {
      syscalls: [
        { names: ['a'], action: 'SCMP_ACT_LOG', args: [{ index: 9, value: 0, op: 'SCMP_CMP_EQ' }] },
      ],
    },
    'linux.seccomp.syscalls[0].args[0].index',
  ],
  [
    {
      syscalls: [{ names: ['a'], action: 'SCMP_ACT_LOG', args: [{ index: 0, value: 0, op: '=' }] }],
    },
    'linux.seccomp.syscalls[0].args[0].op',
  ],
])('%j is refused', (change, field) => {
  const compile = () => compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', ...change });
  expect(compile).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG', field }));
});

test('flags', () => {
  const flags = (change: object): number =>
    compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', ...change }).flags;
  expect(flags({})).toBe(4);
  expect(flags({ flags: [] })).toBe(0);
  expect(flags({ flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_TSYNC'] })).toBe(3);
  expect(flags({ flags: [], syscalls: [{ names: ['open'], action: 'SCMP_ACT_NOTIFY' }] })).toBe(8);
});

test('equal neighbours are one stretch', () => {
  const names = ['read', 'write', 'open', 'close', 'stat', 'fstat', 'lstat', 'poll', 'lseek'];
  const { program } = compileSeccomp(
    { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names, action: 'SCMP_ACT_ALLOW' }] },
    { architecture: 'x86-64' },
  );
  // arch, nr, the end of the nine, x32, -1, and the answers.
  expect(decodeInstructions(program).length).toBeLessThanOrEqual(11);
});
