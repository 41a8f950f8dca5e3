/**
 * A filter as text, one instruction a line, with the meaning of what it looks at, and behind `;` the
 * system call that the number is, or the only one that can have come there:
 *
 *     0  ld   arch
 *     1  jeq  0xc000003e (x86-64)    yes 2    no 9
 *     2  ld   nr
 *     3  jge  0x40000000             yes 8    no 4
 *     4  jeq  0x29                   yes 5    no 7    ; socket
 *     5  ld   args[0].low                             ; socket
 *     6  ret  errno 1 (EPERM)
 */
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
import {
  describeAnswer,
  describeArchitecture,
  describeOther,
  describeWord,
  hex,
} from './instruction-words.ts';
import { type Facts, knownFacts } from './known-facts.ts';
import { syscallName } from './syscall-names.ts';

const JUMPS: Readonly<Record<number, string>> = {
  [BPF_JMP_JEQ_K]: 'jeq',
  [BPF_JMP_JGT_K]: 'jgt',
  [BPF_JMP_JGE_K]: 'jge',
  [BPF_JMP_JSET_K]: 'jset',
};
const COMMENT_COLUMN = 54;

/**
 * The listing of a program, whoever made it.
 * @throws {RangeError} where its length is not a multiple of an instruction's 8 bytes
 */
export function disassembleSeccomp(program: Uint8Array): string {
  const instructions = decodeInstructions(program);
  const facts = knownFacts(instructions);
  return instructions
    .map((instruction, at) => {
      const text = `${String(at).padStart(4)}  ${line(instruction, at, facts[at])}`;
      const name = comment(instruction, facts[at]);
      return `${name ? `${text.padEnd(COMMENT_COLUMN)} ; ${name}` : text.trimEnd()}\n`;
    })
    .join('');
}

function line({ code, jt, jf, k }: Instruction, at: number, facts: Facts | undefined): string {
  if (code === BPF_LD_W_ABS) return `ld   ${describeWord(k)}`;
  if (code === BPF_ALU_AND_K) return `and  ${hex(k)}`;
  if (code === BPF_JMP_JA) return `ja   ${at + 1 + k}`;
  if (code === BPF_RET_K) return `ret  ${describeAnswer(k)}`;
  const jump = JUMPS[code];
  if (jump === undefined) return describeOther(code, k);
  const arch = facts?.word === OFFSET_ARCH ? describeArchitecture(k) : undefined;
  const operand = `${hex(k)}${arch ? ` (${arch})` : ''}`.padEnd(22);
  return `${jump.padEnd(4)} ${operand} yes ${String(at + 1 + jt).padEnd(4)} no ${at + 1 + jf}`;
}

function comment({ code, k }: Instruction, facts: Facts | undefined): string | undefined {
  if (facts?.arch === undefined) return undefined;
  const { arch, word, nr } = facts;
  if (word === OFFSET_NR && code in JUMPS && code !== BPF_JMP_JSET_K) {
    return syscallName({ nr: k, arch });
  }
  const isArgument = code === BPF_LD_W_ABS && k >= OFFSET_ARGS;
  return isArgument && nr[0] === nr[1] ? syscallName({ nr: nr[0], arch }) : undefined;
}
