/**
 * What a filter is said to do, in words: answers, words of seccomp_data, mnemonics.
 *
 * @see Documentation/networking/filter.rst, whose mnemonics these are
 */
import { errnoName } from '../errors/errno.ts';
import {
  AUDIT_ARCH_AARCH64,
  AUDIT_ARCH_ARM,
  AUDIT_ARCH_I386,
  AUDIT_ARCH_X86_64,
} from './architectures.ts';
import {
  OFFSET_ARCH,
  OFFSET_ARGS,
  OFFSET_INSTRUCTION_POINTER,
  OFFSET_NR,
  SECCOMP_DATA_BYTES,
} from './instruction.ts';

/** SECCOMP_RET_* without its data → words, and what the data is. */
const ANSWERS: Readonly<Record<number, readonly [string, 'errno' | 'number' | undefined]>> = {
  32768: ['kill process', undefined],
  0: ['kill thread', undefined],
  3: ['trap', undefined],
  5: ['errno', 'errno'],
  32704: ['notify', undefined],
  32752: ['trace', 'number'],
  32764: ['log', undefined],
  32767: ['allow', undefined],
};

const ARCHITECTURES: Readonly<Record<number, string>> = {
  [AUDIT_ARCH_X86_64]: 'x86-64',
  [AUDIT_ARCH_I386]: 'x86',
  [AUDIT_ARCH_AARCH64]: 'arm64',
  [AUDIT_ARCH_ARM]: 'arm',
};

/** The classes of classic BPF that seccomp admits and our own programs do not use. */
const MNEMONICS: Readonly<Record<number, string>> = {
  0: 'ld #',
  1: 'ldx #',
  96: 'ld M',
  97: 'ldx M',
  2: 'st M',
  3: 'stx M',
  128: 'ld len',
  129: 'ldx len',
  7: 'tax',
  135: 'txa',
  22: 'ret a',
  132: 'neg',
  ...operations(0x04, [
    'add',
    'sub',
    'mul',
    'div',
    'or',
    'and',
    'lsh',
    'rsh',
    undefined,
    'mod',
    'xor',
  ]),
};

/** ALU operations with a constant and with X. */
function operations(base: number, names: readonly (string | undefined)[]): Record<number, string> {
  return Object.fromEntries(
    names.flatMap((name, index) =>
      name
        ? [
            [base + 16 * index, `${name} #`],
            [base + 16 * index + 8, `${name} x`],
          ]
        : [],
    ),
  );
}

export const hex = (value: number): string => `0x${value.toString(16)}`;

/** SECCOMP_RET_* as words: `errno 1 (EPERM)`, `allow`. */
export function describeAnswer(value: number): string {
  const [text, data] = ANSWERS[value >>> 16] ?? [hex(value), undefined];
  const number = value & 0xffff;
  if (data === undefined) return text;
  return data === 'errno' ? `${text} ${number} (${errnoName(number)})` : `${text} ${number}`;
}

/** AUDIT_ARCH_* by its short name; undefined for those of other machines. */
export const describeArchitecture = (value: number): string | undefined => ARCHITECTURES[value];

/** A word of seccomp_data by its offset: `nr`, `arch`, `args[2].high`. */
export function describeWord(offset: number): string {
  if (offset === OFFSET_NR) return 'nr';
  if (offset === OFFSET_ARCH) return 'arch';
  const part = offset & 4 ? 'high' : 'low';
  const isWord = offset % 4 === 0 && offset < SECCOMP_DATA_BYTES;
  if (!isWord || offset < OFFSET_INSTRUCTION_POINTER) return `[${offset}]`;
  if (offset < OFFSET_ARGS) return `ip.${part}`;
  return `args[${(offset - OFFSET_ARGS) >> 3}].${part}`;
}

/** An instruction that our own programs do not have, as far as it has a name. */
export function describeOther(code: number, k: number): string {
  const mnemonic = MNEMONICS[code];
  if (mnemonic === undefined) return `?    code ${hex(code)} k ${hex(k)}`;
  const [name, operand = ''] = mnemonic.split(' ');
  const shown = operand === '#' ? `#${hex(k)}` : operand === 'M' ? `M[${k}]` : operand;
  return `${name!.padEnd(4)} ${shown}`.trimEnd();
}
