/**
 * Lays decisions out as instructions, from the last to the first: so what a jump leads to has a
 * place already, and its distance is known.
 *
 * A conditional jump reaches 255 instructions. Where the target is farther, a copy is put nearer: of
 * an answer the answer itself, of anything else a jump (JA, which reaches everything).
 */
import type { Comparison, Decision } from './decision.ts';
import {
  BPF_ALU_AND_K,
  BPF_JMP_JA,
  BPF_JMP_JEQ_K,
  BPF_JMP_JGE_K,
  BPF_JMP_JGT_K,
  BPF_LD_W_ABS,
  BPF_RET_K,
  FARTHEST_JUMP,
  type Instruction,
} from './instruction.ts';

const JUMPS: Record<Comparison, number> = {
  eq: BPF_JMP_JEQ_K,
  gt: BPF_JMP_JGT_K,
  ge: BPF_JMP_JGE_K,
};

/** The program that begins with `decision`. */
export function emit(decision: Decision): Instruction[] {
  const sizes = sizesOf(decision);
  const emitter = new Emitter();
  // The small branch last: then the large one is not far.
  const largeFirst = (a: Decision, b: Decision) => sizes.get(b)! - sizes.get(a)!;
  for (const next of innermostFirst(decision, largeFirst)) emitter.put(next);
  return emitter.instructions();
}

function branchesOf(decision: Decision): Decision[] {
  if (decision.kind === 'answer') return [];
  return decision.kind === 'test' ? [decision.yes, decision.no] : [decision.next];
}

/**
 * Every decision that can be reached, once, after all those it leads to. With a stack of its own:
 * a profile may have a chain of thousands.
 */
function innermostFirst(
  first: Decision,
  compare: (a: Decision, b: Decision) => number,
): Set<Decision> {
  const done = new Set<Decision>();
  const opened = new Set<Decision>();
  const stack = [first];
  for (let decision = stack.at(-1); decision; decision = stack.at(-1)) {
    if (opened.has(decision)) {
      done.add(decision);
      stack.pop();
      continue;
    }
    opened.add(decision);
    const branches = branchesOf(decision).filter((branch) => !opened.has(branch));
    stack.push(...branches.sort(compare).reverse());
  }
  return done;
}

/** Instructions that each decision would take if nothing were shared. */
function sizesOf(first: Decision): Map<Decision, number> {
  const sizes = new Map<Decision, number>();
  for (const decision of innermostFirst(first, () => 0)) {
    const size = branchesOf(decision).reduce((sum, branch) => sum + sizes.get(branch)!, 1);
    sizes.set(decision, Math.min(size, Number.MAX_SAFE_INTEGER));
  }
  return sizes;
}

class Emitter {
  /** The program from its end. */
  readonly #reversed: Instruction[] = [];
  /** Decision → index in #reversed of its nearest copy. */
  readonly #places = new Map<Decision, number>();

  instructions(): Instruction[] {
    return this.#reversed.toReversed();
  }

  /** Puts a decision at the front; what it leads to has a place. */
  put(decision: Decision): void {
    if (decision.kind === 'answer') {
      this.#push(decision, BPF_RET_K, { k: decision.value });
    } else if (decision.kind === 'test') {
      this.#test(decision);
    } else {
      // The next one has to come directly after.
      if (this.#distance(decision.next) > 0) this.#copy(decision.next);
      if (decision.kind === 'load') this.#push(decision, BPF_LD_W_ABS, { k: decision.offset });
      else this.#push(decision, BPF_ALU_AND_K, { k: decision.mask });
    }
  }

  #push(decision: Decision, code: number, fields: { k: number; jt?: number; jf?: number }): void {
    this.#places.set(decision, this.#reversed.length);
    this.#reversed.push({ code, jt: 0, jf: 0, ...fields });
  }

  #test(decision: Decision & { kind: 'test' }): void {
    const { yes, no, comparison, value } = decision;
    const far = () => [yes, no].find((branch) => this.#distance(branch) > FARTHEST_JUMP);
    // A copy for one pushes the other one instruction away.
    for (let branch = far(); branch; branch = far()) this.#copy(branch);
    const [jt, jf] = [this.#distance(yes), this.#distance(no)];
    this.#push(decision, JUMPS[comparison], { k: value, jt, jf });
  }

  #copy(decision: Decision): void {
    if (decision.kind === 'answer') this.put(decision);
    else this.#push(decision, BPF_JMP_JA, { k: this.#distance(decision) });
  }

  /** Instructions between the one that is put next and the decision. */
  #distance(decision: Decision): number {
    return this.#reversed.length - this.#places.get(decision)! - 1;
  }
}
