/**
 * The rules of one system call that look at its arguments, as decisions.
 *
 * Arguments are 64 bits and BPF's register 32, so a comparison looks at the high word first:
 *
 *   arg == v     high == v.high && low == v.low
 *   arg >  v     high >  v.high || (high == v.high && low > v.low)        (>= alike; < and <= by
 *   arg & m == v (high & m.high) == v.high && (low & m.low) == v.low       exchanging the branches)
 *
 * Values that people write in profiles have a high word of zero, so what is known about that (zero,
 * or not) is carried along, and no later rule asks again.
 */
import { refuse } from './check-profile.ts';
import type { Comparison, Decision, DecisionGraph } from './decision.ts';
import { OFFSET_ARGS } from './instruction.ts';
import type { SeccompProfileArgument } from './profile.ts';

export interface Rule {
  /** All of them have to hold; none: always. */
  conditions: readonly Condition[];
  /** What the filter returns then. */
  value: number;
}

export interface Condition {
  index: number;
  comparison: 'eq' | 'gt' | 'ge' | 'masked';
  /** The condition holds if the comparison does not. */
  negated: boolean;
  value: bigint;
  mask: bigint;
}

export const OPERATORS: Readonly<Record<string, Pick<Condition, 'comparison' | 'negated'>>> = {
  SCMP_CMP_EQ: { comparison: 'eq', negated: false },
  SCMP_CMP_NE: { comparison: 'eq', negated: true },
  SCMP_CMP_GT: { comparison: 'gt', negated: false },
  SCMP_CMP_LE: { comparison: 'gt', negated: true },
  SCMP_CMP_GE: { comparison: 'ge', negated: false },
  SCMP_CMP_LT: { comparison: 'ge', negated: true },
  SCMP_CMP_MASKED_EQ: { comparison: 'masked', negated: false },
};

const ALL_BITS = (1n << 64n) - 1n;

/** One argument of a profile's rule. @throws {StrataError} INVALID_CONFIG naming the field */
export function parseCondition(argument: SeccompProfileArgument, field: string): Condition {
  const { index, op } = argument;
  const operator = Object.hasOwn(OPERATORS, op) ? OPERATORS[op] : undefined;
  if (operator === undefined) refuse(`${field}.op`, `unknown operator ${op}`);
  const value = BigInt.asUintN(64, BigInt(argument.value));
  const valueTwo = BigInt.asUintN(64, BigInt(argument.valueTwo ?? 0));
  return operator.comparison === 'masked'
    ? { index, ...operator, value: valueTwo, mask: value }
    : { index, ...operator, value, mask: ALL_BITS };
}

/** What is known on a path through the decisions. */
interface Known {
  /** The word of seccomp_data that A holds. */
  loaded: number | undefined;
  /** Per argument, whether its high word is zero. */
  highIsZero: readonly (boolean | undefined)[];
}

type Continue = (known: Known) => Decision;
interface Branches {
  yes: Continue;
  no: Continue;
}

const LOW = 0;
const HIGH = 4;
const high = (value: bigint): number => Number(value >> 32n);
const low = (value: bigint): number => Number(value & 0xffff_ffffn);

/** With more rules than this for one call, what is known is forgotten from rule to rule. */
const RULES_WITH_KNOWLEDGE = 64;

export interface RuleOptions {
  /** What the filter returns if no rule matches. */
  fallback: number;
  argumentBits: 32 | 64;
}

/** The rules of one system call, the first that matches counting. */
export function decideRules(
  graph: DecisionGraph,
  rules: readonly Rule[],
  options: RuleOptions,
): Decision {
  return new RuleDecisions(graph, options).decide(rules);
}

class RuleDecisions {
  readonly #graph: DecisionGraph;
  readonly #fallback: Decision;
  readonly #nothing: Known;

  constructor(graph: DecisionGraph, { fallback, argumentBits }: RuleOptions) {
    this.#graph = graph;
    this.#fallback = graph.answer(fallback);
    const isZero = argumentBits === 32 ? true : undefined;
    this.#nothing = { loaded: undefined, highIsZero: Array(6).fill(isZero) };
  }

  decide(rules: readonly Rule[]): Decision {
    if (rules.length <= RULES_WITH_KNOWLEDGE) return this.#withKnowledge(rules);
    return rules.reduceRight(
      (next, rule) => this.#rule(rule, 0, { known: this.#nothing, mismatch: () => next }),
      this.#fallback,
    );
  }

  /** Each rule once per state of knowledge that leads to it. */
  #withKnowledge(rules: readonly Rule[]): Decision {
    const done = new Map<string, Decision>();
    const from = (index: number, known: Known): Decision => {
      const rule = rules[index];
      if (rule === undefined) return this.#fallback;
      const key = `${index} ${known.loaded} ${known.highIsZero}`;
      let decision = done.get(key);
      if (decision === undefined) {
        const mismatch: Continue = (then) => from(index + 1, then);
        decision = this.#rule(rule, 0, { known, mismatch });
        done.set(key, decision);
      }
      return decision;
    };
    return from(0, this.#nothing);
  }

  #rule(rule: Rule, position: number, state: { known: Known; mismatch: Continue }): Decision {
    const condition = rule.conditions[position];
    if (condition === undefined) return this.#graph.answer(rule.value);
    const { known, mismatch } = state;
    const match: Continue = (then) => this.#rule(rule, position + 1, { known: then, mismatch });
    const branches = condition.negated
      ? { yes: mismatch, no: match }
      : { yes: match, no: mismatch };
    return this.#condition(condition, known, branches);
  }

  #condition(condition: Condition, known: Known, branches: Branches): Decision {
    const { index, comparison, value } = condition;
    const { yes, no } = branches;
    if (comparison === 'masked') return this.#masked(condition, known, branches);
    const compareLow: Continue = (then) =>
      this.#word({ index, part: LOW, comparison, value: low(value) }, then, branches);
    const onHigh = (test: Comparison, now: Known, then: Branches): Decision =>
      this.#word({ index, part: HIGH, comparison: test, value: high(value) }, now, then);
    if (comparison === 'eq') return onHigh('eq', known, { yes: compareLow, no });
    return onHigh('gt', known, {
      yes,
      no: (then) => onHigh('eq', then, { yes: compareLow, no }),
    });
  }

  #masked({ index, value, mask }: Condition, known: Known, { yes, no }: Branches): Decision {
    const part = (offset: number, word: typeof low, now: Known, then: Branches): Decision => {
      const [bits, wanted] = [word(mask), word(value)];
      if ((wanted & ~bits) !== 0) return then.no(now);
      if (bits === 0) return then.yes(now);
      const test = { index, part: offset, comparison: 'eq', value: wanted } as const;
      return this.#word({ ...test, mask: bits }, now, then);
    };
    return part(HIGH, high, known, {
      yes: (then) => part(LOW, low, then, { yes, no }),
      no,
    });
  }

  /** One test of one word, unless its result is known. */
  #word(
    test: { index: number; part: number; comparison: Comparison; value: number; mask?: number },
    known: Known,
    { yes, no }: Branches,
  ): Decision {
    const { index, part, comparison, value, mask = 0xffff_ffff } = test;
    const isZero = part === HIGH ? known.highIsZero[index] : undefined;
    const isAboutZero = value === 0 && comparison !== 'ge' && mask === 0xffff_ffff;
    if (isZero === true) return this.#holdsForZero(comparison, value) ? yes(known) : no(known);
    if (isZero === false && isAboutZero) return comparison === 'gt' ? yes(known) : no(known);

    const offset = OFFSET_ARGS + 8 * index + part;
    const masks = mask !== 0xffff_ffff;
    const after: Known = { ...known, loaded: masks ? undefined : offset };
    const learn = (zero: boolean): Known =>
      part === HIGH && isAboutZero
        ? { ...after, highIsZero: after.highIsZero.with(index, zero) }
        : after;
    const decision = this.#graph.test(comparison, value, {
      yes: yes(learn(comparison === 'eq')),
      no: no(learn(comparison === 'gt')),
    });
    const masked = masks ? this.#graph.and(mask, decision) : decision;
    return known.loaded === offset ? masked : this.#graph.load(offset, masked);
  }

  #holdsForZero(comparison: Comparison, value: number): boolean {
    return comparison === 'gt' ? false : value === 0;
  }
}
