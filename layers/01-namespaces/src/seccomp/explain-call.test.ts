import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AUDIT_ARCH_I386, AUDIT_ARCH_X86_64 } from './architectures.ts';
import { compileSeccomp } from './compile.ts';
import { allowsCall, describeCondition, explainCall, type WordCondition } from './explain-call.ts';
import { encodeInstructions, OFFSET_ARGS } from './instruction.ts';
import { interpretSeccomp } from './interpret.ts';
import type { SeccompProfileRule } from './profile.ts';

const IOCTL = 16;
const OPERATORS = ['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ'].map((op) => `SCMP_CMP_${op}`);
const word = fc.constantFrom(0n, 1n, 5n, 6n, 0xffff_ffffn, 1n << 32n, (1n << 32n) + 5n);
const rules = fc.array(
  fc.record({
    names: fc.constant(['ioctl']),
    action: fc.constantFrom('SCMP_ACT_ERRNO', 'SCMP_ACT_LOG', 'SCMP_ACT_KILL'),
    args: fc.array(
      fc.record({
        index: fc.integer({ min: 0, max: 1 }),
        value: word,
        valueTwo: word,
        op: fc.constantFrom(...OPERATORS),
      }),
      { minLength: 1, maxLength: 2 },
    ),
  }),
  { maxLength: 4 },
);
const calls = fc.array(fc.tuple(word, word), { minLength: 10 });

function matches({ word: offset, mask, operator, value }: WordCondition, args: bigint[]): boolean {
  const arg = args[(offset - OFFSET_ARGS) >> 3]!;
  const half = Number(offset & 4 ? arg >> 32n : arg & 0xffff_ffffn);
  const a = (half & mask) >>> 0;
  switch (operator) {
    case '==':
      return a === value;
    case '!=':
      return a !== value;
    case '>':
      return a > value;
    case '<=':
      return a <= value;
    case '>=':
      return a >= value;
    case '<':
      return a < value;
    default:
      return ((a & value) !== 0) === (operator === 'has a bit of');
  }
}

test('of all outcomes exactly one fits given arguments, and it is what the program answers', () => {
  fc.assert(
    fc.property(rules, calls, (syscalls: SeccompProfileRule[], given) => {
      const profile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls };
      const { program } = compileSeccomp(profile, { architecture: 'x86-64' });
      const call = { nr: IOCTL, arch: AUDIT_ARCH_X86_64 };
      const { outcomes, complete } = explainCall(program, call);
      expect(complete).toBe(true);
      for (const args of given) {
        const fitting = outcomes.filter(({ conditions }) =>
          conditions.every((condition) => matches(condition, args)),
        );
        const wanted = interpretSeccomp(program, { ...call, args }).value;
        expect(fitting.map(({ value }) => value)).toEqual([wanted]);
      }
    }),
    { numRuns: 200 },
  );
});

test('a way that leaves no value to a word is none', () => {
  const on = (op: string, value: bigint) => ({ index: 0, value, op: `SCMP_CMP_${op}` });
  const rule = (...args: ReturnType<typeof on>[]) => ({
    names: ['ioctl'],
    action: 'SCMP_ACT_ERRNO',
    args,
  });
  const syscalls = [
    rule(on('NE', (1n << 32n) + 5n), { index: 1, value: 0n, op: 'SCMP_CMP_NE' }),
    rule(on('EQ', 0n), on('LE', 1n << 32n)),
  ];
  const { program } = compileSeccomp(
    { defaultAction: 'SCMP_ACT_ALLOW', syscalls },
    { architecture: 'x86-64' },
  );
  const { outcomes } = explainCall(program, { nr: IOCTL, arch: AUDIT_ARCH_X86_64 });
  const fitting = outcomes.filter(({ conditions }) =>
    conditions.every((condition) => matches(condition, [1n << 32n, 0n])),
  );
  expect(fitting).toHaveLength(1);
});

test('conditions are as short as they can be', () => {
  const args = [{ index: 1, value: 0x1_0000_0005, op: 'SCMP_CMP_EQ' }];
  const syscalls = [{ names: ['ioctl'], action: 'SCMP_ACT_KILL', args }];
  const { program } = compileSeccomp(
    { defaultAction: 'SCMP_ACT_ALLOW', syscalls },
    { architecture: 'x86-64' },
  );
  const told = (nr: number, arch: number): string[] =>
    explainCall(program, { nr, arch }).outcomes.map(
      ({ conditions, value }) => `${value}: ${conditions.map(describeCondition).join(', ')}`,
    );
  expect(told(IOCTL, AUDIT_ARCH_X86_64).sort()).toEqual([
    '0: args[1].high == 0x1, args[1].low == 0x5',
    '2147418112: args[1].high != 0x1',
    '2147418112: args[1].high == 0x1, args[1].low != 0x5',
  ]);
  expect(told(IOCTL, AUDIT_ARCH_I386)).toEqual(['2147483648: ']);
});

test('more ways than anybody would read end somewhere; a program without an answer is refused', () => {
  const jset = (k: number) => ({ code: 0x45, jt: 0, jf: 0, k });
  const many = Array.from({ length: 40 }, (_, bit) => [
    { code: 0x20, jt: 0, jf: 0, k: OFFSET_ARGS + 4 * (bit >> 3) },
    { ...jset(1 << (bit & 7)), jf: 1 },
    { code: 0x05, jt: 0, jf: 0, k: 0 },
  ]).flat();
  const program = encodeInstructions([...many, { code: 0x06, jt: 0, jf: 0, k: 0 }]);
  const { outcomes, complete } = explainCall(program, { nr: 0, arch: 0 });
  expect([outcomes.length, complete]).toEqual([500, false]);
  const endless = encodeInstructions(many);
  expect(() => explainCall(endless, { nr: 0, arch: 0 })).toThrow(/no instruction 120/);
  const alien = encodeInstructions([{ code: 0x07, jt: 0, jf: 0, k: 0 }]);
  expect(() => explainCall(alien, { nr: 0, arch: 0 })).toThrow(/instruction code 0x7/);
});

test('a call is allowed if it is for all arguments', () => {
  const { program } = compileSeccomp({
    defaultAction: 'SCMP_ACT_ERRNO',
    syscalls: [
      { names: ['futex'], action: 'SCMP_ACT_LOG' },
      {
        names: ['getcwd'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ' }],
      },
      { names: ['read'], action: 'SCMP_ACT_NOTIFY' },
    ],
  });
  const calls = ['futex', 'getcwd', 'read', 'write'] as const;
  expect(calls.map((name) => allowsCall(program, name))).toEqual([true, false, false, false]);
});
