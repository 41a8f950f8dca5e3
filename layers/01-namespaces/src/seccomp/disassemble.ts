/**
 * A filter as text, one instruction a line, with the meaning of what it looks at:
 *
 *     0  ld   arch
 *     1  jeq  0xc000003e (x86-64)    yes 2   no 9
 *     2  ld   nr
 *     3  jge  0x40000000             yes 8   no 4
 *     4  jeq  0x29                   yes 5   no 7
 *     5  ld   args[0].low
 *     6  ret  errno 1
 */
import {
  AUDIT_ARCH_AARCH64,
  AUDIT_ARCH_ARM,
  AUDIT_ARCH_I386,
  AUDIT_ARCH_X86_64,
} from './architectures.ts';
import {
  BPF_ALU_AND_K,
  BPF_JMP_JA,
  BPF_JMP_JEQ_K,
  BPF_JMP_JGE_K,
  BPF_JMP_JGT_K,
  BPF_JMP_JSET_K,
  BPF_LD_W_ABS,
  BPF_RET_K,
  decodeInstructions,
  type Instruction,
  OFFSET_ARCH,
  OFFSET_ARGS,
  OFFSET_NR,
} from './instruction.ts';

const JUMPS: Readonly<Record<number, string>> = {
  [BPF_JMP_JEQ_K]: 'jeq',
  [BPF_JMP_JGT_K]: 'jgt',
  [BPF_JMP_JGE_K]: 'jge',
  [BPF_JMP_JSET_K]: 'jset',
};

/** SECCOMP_RET_* without its data → words, and whether the data is told. */
const ANSWERS: Readonly<Record<number, readonly [string, boolean]>> = {
  32768: ['kill process', false],
  0: ['kill thread', false],
  3: ['trap', false],
  5: ['errno', true],
  32704: ['notify', false],
  32752: ['trace', true],
  32764: ['log', false],
  32767: ['allow', false],
};

const ARCHITECTURES: Readonly<Record<number, string>> = {
  [AUDIT_ARCH_X86_64]: ' (x86-64)',
  [AUDIT_ARCH_I386]: ' (x86)',
  [AUDIT_ARCH_AARCH64]: ' (arm64)',
  [AUDIT_ARCH_ARM]: ' (arm)',
};

const hex = (value: number): string => `0x${value.toString(16)}`;

/** The listing of a program. */
export function disassembleSeccomp(program: Uint8Array): string {
  return decodeInstructions(program)
    .map((instruction, at) => `${String(at).padStart(4)}  ${line(instruction, at)}\n`)
    .join('');
}

function line({ code, jt, jf, k }: Instruction, at: number): string {
  if (code === BPF_LD_W_ABS) return `ld   ${word(k)}`;
  if (code === BPF_ALU_AND_K) return `and  ${hex(k)}`;
  if (code === BPF_JMP_JA) return `ja   ${at + 1 + k}`;
  if (code === BPF_RET_K) return `ret  ${answer(k)}`;
  const jump = JUMPS[code];
  if (jump === undefined) return `?    code ${hex(code)} jt ${jt} jf ${jf} k ${hex(k)}`;
  const operand = `${hex(k)}${ARCHITECTURES[k] ?? ''}`.padEnd(22);
  return `${jump.padEnd(4)} ${operand} yes ${String(at + 1 + jt).padEnd(4)} no ${at + 1 + jf}`;
}

function word(offset: number): string {
  if (offset === OFFSET_NR) return 'nr';
  if (offset === OFFSET_ARCH) return 'arch';
  const index = (offset - OFFSET_ARGS) >> 3;
  return index < 0 ? `[${offset}]` : `args[${index}].${offset & 4 ? 'high' : 'low'}`;
}

function answer(value: number): string {
  const [text, hasData] = ANSWERS[value >>> 16] ?? [hex(value), false];
  return hasData ? `${text} ${value & 0xffff}` : text;
}
