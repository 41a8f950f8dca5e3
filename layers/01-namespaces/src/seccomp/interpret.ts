/**
 * Runs a filter as the kernel would, for tests and for explaining: what would happen to this call?
 *
 * @see kernel/seccomp.c seccomp_check_filter, which programs are admitted
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
  OFFSET_INSTRUCTION_POINTER,
  OFFSET_NR,
  SECCOMP_DATA_BYTES,
} from './instruction.ts';

/** struct seccomp_data. */
export interface SeccompData {
  nr: number;
  /** AUDIT_ARCH_*. */
  arch: number;
  instructionPointer?: bigint;
  args?: readonly bigint[];
}

export interface Verdict {
  /** SECCOMP_RET_*, with its data. */
  value: number;
  /** Instructions executed. */
  steps: number;
}

/**
 * The verdict of a program about a system call.
 *
 * @throws {RangeError} where the kernel would refuse the program
 */
export function interpretSeccomp(program: Uint8Array, data: SeccompData): Verdict {
  const instructions = decodeInstructions(program);
  const words = seccompData(data);
  let a = 0;
  let at = 0;
  for (let steps = 1; ; steps++) {
    const instruction = instructions[at];
    if (instruction === undefined) throw new RangeError(`no instruction ${at}`);
    const { code, jt, jf, k } = instruction;
    at++;
    if (code === BPF_RET_K) return { value: k, steps };
    if (code === BPF_LD_W_ABS) a = load(words, k);
    else if (code === BPF_ALU_AND_K) a = (a & k) >>> 0;
    else if (code === BPF_JMP_JA) at += k;
    else at += holds(instruction, a) ? jt : jf;
  }
}

function holds({ code, k }: Instruction, a: number): boolean {
  switch (code) {
    case BPF_JMP_JEQ_K:
      return a === k;
    case BPF_JMP_JGT_K:
      return a > k;
    case BPF_JMP_JGE_K:
      return a >= k;
    case BPF_JMP_JSET_K:
      return (a & k) !== 0;
    default:
      throw new RangeError(`instruction code 0x${code.toString(16)}`);
  }
}

function load(words: DataView, offset: number): number {
  if (offset % 4 !== 0 || offset >= SECCOMP_DATA_BYTES) throw new RangeError(`load of [${offset}]`);
  return words.getUint32(offset, true);
}

function seccompData({ nr, arch, instructionPointer = 0n, args = [] }: SeccompData): DataView {
  const view = new DataView(new ArrayBuffer(SECCOMP_DATA_BYTES));
  view.setUint32(OFFSET_NR, nr, true);
  view.setUint32(OFFSET_ARCH, arch, true);
  view.setBigUint64(OFFSET_INSTRUCTION_POINTER, instructionPointer, true);
  args.forEach((arg, index) => {
    view.setBigUint64(OFFSET_ARGS + 8 * index, arg, true);
  });
  return view;
}
