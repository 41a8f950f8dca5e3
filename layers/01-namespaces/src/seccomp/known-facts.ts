/**
 * What is known where a program has come to an instruction: which word A holds, the architecture,
 * and between which numbers the system call's lies.
 *
 *      0  ld   arch                                A is arch
 *      1  jeq  0xc000003e ── yes ──▶               arch = x86-64
 *      2  ld   nr                                  A is nr
 *      3  jge  0x3b       ── yes ──▶ nr ≥ 59       ── no ──▶ nr ≤ 58
 *
 * Jumps lead forward only, so one pass is enough: where two ways meet, what both know is left.
 */
import {
  BPF_JMP_JA,
  BPF_JMP_JEQ_K,
  BPF_JMP_JGE_K,
  BPF_JMP_JGT_K,
  BPF_JMP_JSET_K,
  BPF_LD_W_ABS,
  BPF_RET_K,
  type Instruction,
  OFFSET_ARCH,
  OFFSET_NR,
} from './instruction.ts';

export interface Facts {
  /** The offset of the word of seccomp_data in A, if it is one as it was. */
  word: number | undefined;
  /** AUDIT_ARCH_*. */
  arch: number | undefined;
  /** First and last number that the system call may have. */
  nr: readonly [number, number];
}

const NOTHING: Facts = { word: undefined, arch: undefined, nr: [0, 0xffff_ffff] };
const BPF_RET_A = 0x16;
/** Classes of instructions, in the low three bits: those that leave A as it is. */
const LEAVES_A = new Set([0x01, 0x02, 0x03]);
const BPF_TAX = 0x07;

/** The facts before each instruction; undefined for those that nothing leads to. */
export function knownFacts(instructions: readonly Instruction[]): (Facts | undefined)[] {
  const facts: (Facts | undefined)[] = Array(instructions.length).fill(undefined);
  facts[0] = NOTHING;
  instructions.forEach((instruction, at) => {
    const here = facts[at];
    if (here === undefined) return;
    for (const [target, then] of successors(instruction, at, here)) {
      if (target >= facts.length) continue;
      const known = facts[target];
      facts[target] = known ? meet(known, then) : then;
    }
  });
  return facts;
}

function meet(one: Facts, other: Facts): Facts {
  return {
    word: one.word === other.word ? one.word : undefined,
    arch: one.arch === other.arch ? one.arch : undefined,
    nr: [Math.min(one.nr[0], other.nr[0]), Math.max(one.nr[1], other.nr[1])],
  };
}

function successors(instruction: Instruction, at: number, here: Facts): [number, Facts][] {
  const { code, jt, jf, k } = instruction;
  const next = at + 1;
  if (code === BPF_RET_K || code === BPF_RET_A) return [];
  if (code === BPF_JMP_JA) return [[next + k, here]];
  if ((code & 7) === 5) {
    return [
      ...branch(next + jt, learn(here, instruction, true)),
      ...branch(next + jf, learn(here, instruction, false)),
    ];
  }
  if (code === BPF_LD_W_ABS) return [[next, { ...here, word: k }]];
  const keeps = LEAVES_A.has(code & 7) || code === BPF_TAX;
  return [[next, keeps ? here : { ...here, word: undefined }]];
}

/** A way on which nothing can come is none. */
const branch = (target: number, facts: Facts): [number, Facts][] =>
  facts.nr[0] > facts.nr[1] ? [] : [[target, facts]];

function learn(here: Facts, { code, k }: Instruction, holds: boolean): Facts {
  if (here.word === OFFSET_ARCH && code === BPF_JMP_JEQ_K && holds) return { ...here, arch: k };
  if (here.word !== OFFSET_NR || code === BPF_JMP_JSET_K) return here;
  const [low, high] = here.nr;
  if (code === BPF_JMP_JEQ_K) return holds ? { ...here, nr: [k, k] } : here;
  const first = code === BPF_JMP_JGT_K ? k + 1 : code === BPF_JMP_JGE_K ? k : undefined;
  if (first === undefined) return here;
  return {
    ...here,
    nr: holds ? [Math.max(low, first), high] : [low, Math.min(high, first - 1)],
  };
}
