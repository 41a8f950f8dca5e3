/**
 * Classic BPF, as far as seccomp has it: a machine with one register, A, forward jumps, and the
 * answer in a constant.
 *
 *   struct sock_filter { u16 code; u8 jt; u8 jf; u32 k; }
 *
 *   struct seccomp_data        0 ┬ nr      4 ┬ arch
 *                              8 ┴ instruction_pointer
 *                             16 ┬ args[0], low word first (little endian)
 *                                ┴ ...
 *
 * @see seccomp(2), Documentation/networking/filter.rst
 */
export const BPF_LD_W_ABS = 0x20;
export const BPF_JMP_JA = 0x05;
export const BPF_JMP_JEQ_K = 0x15;
export const BPF_JMP_JGT_K = 0x25;
export const BPF_JMP_JGE_K = 0x35;
export const BPF_JMP_JSET_K = 0x45;
export const BPF_ALU_AND_K = 0x54;
export const BPF_RET_K = 0x06;

/** The kernel takes no longer programs. */
export const BPF_MAXINSNS = 4096;
/** Farthest target of a conditional jump, in instructions. */
export const FARTHEST_JUMP = 255;

export const OFFSET_NR = 0;
export const OFFSET_ARCH = 4;
export const OFFSET_INSTRUCTION_POINTER = 8;
export const OFFSET_ARGS = 16;
export const SECCOMP_DATA_BYTES = 64;
export const INSTRUCTION_BYTES = 8;

export interface Instruction {
  code: number;
  /** Instructions to skip if the condition holds. */
  jt: number;
  /** Instructions to skip if it does not. */
  jf: number;
  k: number;
}

export function encodeInstructions(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  instructions.forEach(({ code, jt, jf, k }, index) => {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
  });
  return bytes;
}

/** @throws {RangeError} where the length is not a multiple of an instruction's */
export function decodeInstructions(program: Uint8Array): Instruction[] {
  if (program.length % INSTRUCTION_BYTES !== 0) {
    throw new RangeError(`a program of ${program.length} bytes`);
  }
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  return Array.from({ length: program.length / INSTRUCTION_BYTES }, (_, index) => {
    const at = index * INSTRUCTION_BYTES;
    return {
      code: view.getUint16(at, true),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, true),
    };
  });
}
