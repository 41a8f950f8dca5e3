/**
 * What a filter does with a system call whose arguments are not known: every answer it may give,
 * each with what the arguments have to be like.
 *
 *   socket   errno 1 (EPERM)   args[0].high == 0x0, args[0].low == 0x28
 *            allow             args[0].high == 0x0, args[0].low != 0x28
 */
import { hostArchitecture, type SyscallName, syscallNumber } from '../syscalls/numbers.ts';
import { SECCOMP_RET_ALLOW, SECCOMP_RET_LOG } from './actions.ts';
import { MACHINES } from './architectures.ts';
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
  OFFSET_NR,
} from './instruction.ts';
import { describeWord, hex } from './instruction-words.ts';

/** What a word of an argument has to be like, one comparison. */
export interface WordCondition {
  /** Offset in seccomp_data. */
  word: number;
  /** What is compared of it; all ones: the whole word. */
  mask: number;
  operator: '==' | '!=' | '>' | '<=' | '>=' | '<' | 'has a bit of' | 'has no bit of';
  value: number;
}

export interface Outcome {
  /** All of them hold; none: whatever the arguments. */
  conditions: readonly WordCondition[];
  /** SECCOMP_RET_*, with its data. */
  value: number;
}

export interface Explanation {
  outcomes: readonly Outcome[];
  /** False where there are more outcomes than anybody would read. */
  complete: boolean;
}

const MOST_OUTCOMES = 500;
const MOST_STEPS = 1_000_000;

type Accumulator = { value: number } | { word: number; mask: number };

interface Path {
  at: number;
  a: Accumulator;
  conditions: readonly WordCondition[];
  /** Per word, what its value lies between. */
  ranges: ReadonlyMap<number, readonly [number, number]>;
}

/**
 * Whether a program lets a system call of this machine's own interface happen, whatever its arguments.
 * @throws {RangeError} as explainCall
 */
export function allowsCall(program: Uint8Array, name: SyscallName): boolean {
  const machine = hostArchitecture();
  const nr = syscallNumber(name, machine);
  if (nr === undefined) return true;
  const arch = MACHINES[machine][0]!.auditArch;
  const { outcomes, complete } = explainCall(program, { nr, arch });
  const happens = ({ value }: Outcome): boolean =>
    value === SECCOMP_RET_ALLOW || value === SECCOMP_RET_LOG;
  return complete && outcomes.every(happens);
}

/**
 * Follows all ways of a call through a program.
 *
 * @throws {RangeError} for instructions that only other compilers use (X, scratch memory), and for a
 *   program that does not end in an answer
 */
export function explainCall(program: Uint8Array, call: { nr: number; arch: number }): Explanation {
  const instructions = decodeInstructions(program);
  const outcomes: Outcome[] = [];
  const open: Path[] = [{ at: 0, a: { value: 0 }, conditions: [], ranges: new Map() }];
  for (let steps = 0; open.length > 0; steps++) {
    if (outcomes.length === MOST_OUTCOMES || steps === MOST_STEPS) {
      return { outcomes, complete: false };
    }
    const path = open.pop()!;
    const instruction = instructions[path.at];
    if (instruction === undefined) throw new RangeError(`no instruction ${path.at}`);
    if (instruction.code === BPF_RET_K) {
      outcomes.push({ conditions: shortened(path), value: instruction.k });
      continue;
    }
    open.push(...follow(instruction, path, call).reverse());
  }
  return { outcomes, complete: true };
}

function follow(
  { code, jt, jf, k }: Instruction,
  path: Path,
  call: { nr: number; arch: number },
): Path[] {
  const { a } = path;
  const next = path.at + 1;
  if (code === BPF_LD_W_ABS) return [{ ...path, at: next, a: loaded(k, call) }];
  if (code === BPF_JMP_JA) return [{ ...path, at: next + k }];
  if (code === BPF_ALU_AND_K) {
    const masked =
      'value' in a ? { value: (a.value & k) >>> 0 } : { ...a, mask: (a.mask & k) >>> 0 };
    return [{ ...path, at: next, a: masked }];
  }
  if (!(code in OPERATORS)) throw new RangeError(`instruction code ${hex(code)}`);
  if ('value' in a) return [{ ...path, at: next + (holds(code, a.value, k) ? jt : jf) }];
  return [true, false].flatMap((yes) => {
    const assumed = assume(path, { code, k, ...a }, yes);
    return assumed ? [{ ...assumed, at: next + (yes ? jt : jf) }] : [];
  });
}

function loaded(word: number, { nr, arch }: { nr: number; arch: number }): Accumulator {
  if (word === OFFSET_NR) return { value: nr };
  return word === OFFSET_ARCH ? { value: arch } : { word, mask: 0xffff_ffff };
}

function holds(code: number, a: number, k: number): boolean {
  if (code === BPF_JMP_JEQ_K) return a === k;
  if (code === BPF_JMP_JGT_K) return a > k;
  if (code === BPF_JMP_JGE_K) return a >= k;
  return (a & k) !== 0;
}

const OPERATORS: Readonly<
  Record<number, readonly [WordCondition['operator'], WordCondition['operator']]>
> = {
  [BPF_JMP_JEQ_K]: ['==', '!='],
  [BPF_JMP_JGT_K]: ['>', '<='],
  [BPF_JMP_JGE_K]: ['>=', '<'],
  [BPF_JMP_JSET_K]: ['has a bit of', 'has no bit of'],
};
const ALL = 0xffff_ffff;

/** A condition as people read it. */
export function describeCondition({ word, mask, operator, value }: WordCondition): string {
  const name = mask === ALL ? describeWord(word) : `(${describeWord(word)} & ${hex(mask)})`;
  return `${name} ${operator} ${hex(value)}`;
}

/** The path on which a test holds, or does not; undefined where what is known forbids it. */
function assume(
  path: Path,
  test: { code: number; k: number; word: number; mask: number },
  yes: boolean,
): Path | undefined {
  const { code, k, word, mask } = test;
  const [positive, negative] = OPERATORS[code]!;
  const isKnown = (operator: WordCondition['operator']): boolean =>
    path.conditions.some(
      (it) => it.word === word && it.mask === mask && it.value === k && it.operator === operator,
    );
  if (isKnown(yes ? positive : negative)) return path;
  if (isKnown(yes ? negative : positive)) return undefined;
  const isWhole = mask === ALL;
  const before = path.ranges.get(word) ?? [0, ALL];
  const range = isWhole ? without(path, word, narrowed(before, { code, k }, yes)) : before;
  if (range[0] > range[1]) return undefined;
  const isNews =
    !isWhole || range[0] !== before[0] || range[1] !== before[1] || !isRange(code, yes);
  const condition = { word, mask, operator: yes ? positive : negative, value: k };
  return {
    ...path,
    conditions: isNews ? [...path.conditions, condition] : path.conditions,
    ranges: new Map(path.ranges).set(word, range),
  };
}

/** Where only one value of a word is left, that says all about it. */
function shortened({ conditions, ranges }: Path): readonly WordCondition[] {
  const single = (word: number): number | undefined => {
    const range = ranges.get(word);
    return range && range[0] === range[1] ? range[0] : undefined;
  };
  const told = new Set<number>();
  return conditions.flatMap((condition): WordCondition[] => {
    const { word, mask } = condition;
    const value = single(word);
    if (mask !== ALL || value === undefined) return [condition];
    if (told.has(word)) return [];
    told.add(word);
    return [{ word, mask, operator: '==', value }];
  });
}

/** A range whose ends are values that the word may have: none that a path has excluded before. */
function without(
  { conditions }: Path,
  word: number,
  [low, high]: readonly [number, number],
): readonly [number, number] {
  const isExcluded = (value: number): boolean =>
    conditions.some(
      (it) => it.word === word && it.mask === ALL && it.operator === '!=' && it.value === value,
    );
  let [first, last] = [low, high];
  while (first <= last && isExcluded(first)) first++;
  while (first <= last && isExcluded(last)) last--;
  return [first, last];
}

/** Whether a test says no more than a range does. */
const isRange = (code: number, yes: boolean): boolean =>
  code === BPF_JMP_JGT_K || code === BPF_JMP_JGE_K || (code === BPF_JMP_JEQ_K && yes);

function narrowed(
  [low, high]: readonly [number, number],
  { code, k }: { code: number; k: number },
  yes: boolean,
): readonly [number, number] {
  if (code === BPF_JMP_JEQ_K) {
    if (yes) return [Math.max(low, k), Math.min(high, k)];
    return [low === k ? low + 1 : low, high === k ? high - 1 : high];
  }
  if (code === BPF_JMP_JSET_K) return [low, high];
  const first = code === BPF_JMP_JGT_K ? k + 1 : k;
  return yes ? [Math.max(low, first), high] : [low, Math.min(high, first - 1)];
}
