/**
 * A profile as a map of system call numbers: for each stretch of numbers, what is to happen.
 *
 *   0 ─ allowed ─ 12 ─ refused ─ 13 ─ look at the arguments ─ 14 ─ allowed ─ ... ─ ENOSYS ─ 2^32
 *
 * Names that an interface does not have are passed over, as libseccomp does: one profile serves all.
 */
import { returnForNewerCalls, returnValue, SECCOMP_RET_KILL_PROCESS } from './actions.ts';
import type { SyscallInterface } from './architectures.ts';
import { type Condition, decideRules, parseCondition, type Rule } from './conditions.ts';
import type { Decision, DecisionGraph } from './decision.ts';
import type { SeccompProfile, SeccompProfileRule } from './profile.ts';

/** From `start` to the start of the next stretch, or to the end of all numbers. */
export interface Stretch {
  start: number;
  decision: Decision;
}

/** A profile whose rules have been read, for any interface. */
export interface ReadProfile {
  defaultValue: number;
  /** For system calls beyond the last that the profile names. */
  newerValue: number | undefined;
  rules: readonly NamedRules[];
}

interface NamedRules {
  names: readonly string[];
  /** More than one where arguments are alternatives; none where the rule says nothing. */
  alternatives: readonly Rule[];
  permissive: boolean;
}

/** @throws {StrataError} INVALID_CONFIG naming the field */
export function readProfile(profile: SeccompProfile): ReadProfile {
  const { defaultAction, defaultErrnoRet } = profile;
  const defaultValue = returnValue({
    action: defaultAction,
    errnoRet: defaultErrnoRet,
    actionField: 'linux.seccomp.defaultAction',
    errnoField: 'linux.seccomp.defaultErrnoRet',
  });
  const rules = (profile.syscalls ?? []).map((rule, index) => {
    const field = `linux.seccomp.syscalls[${index}]`;
    const value = returnValue({
      action: rule.action,
      errnoRet: rule.errnoRet,
      actionField: `${field}.action`,
      errnoField: `${field}.errnoRet`,
    });
    const alternatives = alternativesOf(rule, index, value);
    return {
      names: rule.names,
      alternatives: value === defaultValue ? [] : alternatives,
      permissive: !/KILL|TRAP|ERRNO/.test(rule.action),
    };
  });
  return { defaultValue, newerValue: returnForNewerCalls(profile), rules };
}

function alternativesOf(rule: SeccompProfileRule, index: number, value: number): Rule[] {
  const conditions = (rule.args ?? []).map((argument, position) =>
    parseCondition(argument, `linux.seccomp.syscalls[${index}].args[${position}]`),
  );
  const indexes = new Set(conditions.map((condition) => condition.index));
  if (indexes.size === conditions.length) return [{ conditions, value }];
  return conditions.map((condition) => ({ conditions: [condition], value }));
}

/** The stretches of one interface, which cover its range; no two neighbours are alike. */
export function stretchesOf(
  graph: DecisionGraph,
  profile: ReadProfile,
  via: SyscallInterface,
): Stretch[] {
  const { defaultValue, newerValue } = profile;
  const { rules, last } = rulesByNumber(profile, via);
  const otherwise = graph.answer(defaultValue);
  const options = { fallback: defaultValue, argumentBits: via.argumentBits };
  const stretches: Stretch[] = [];
  let next = via.range[0];
  for (const number of Uint32Array.from(rules.keys()).sort()) {
    if (number > next) append(stretches, next, otherwise);
    const list = rules.get(number)!;
    // Of the rules without conditions the first holds, whatever stands before it (see profile.ts).
    const always = list.find(({ conditions }) => conditions.length === 0);
    const decision = always ? graph.answer(always.value) : decideRules(graph, list, options);
    append(stretches, number, decision);
    next = number + 1;
  }
  if (next <= via.range[1]) append(stretches, next, otherwise);
  if (newerValue === undefined || last === undefined) return stretches;
  return withNewer(stretches, {
    from: last + 1,
    to: via.privateFrom,
    newer: graph.answer(newerValue),
    otherwise,
  });
}

function append(stretches: Stretch[], start: number, decision: Decision): void {
  if (stretches.at(-1)?.decision !== decision) stretches.push({ start, decision });
}

/** Puts in a stretch where no rule is: from the last known number on, up to private ones if any. */
function withNewer(
  stretches: readonly Stretch[],
  gap: { from: number; to: number | undefined; newer: Decision; otherwise: Decision },
): Stretch[] {
  const { from, to, newer, otherwise } = gap;
  const result = stretches.filter(({ start }) => start < from);
  append(result, from, newer);
  if (to === undefined) return result;
  append(result, to, otherwise);
  for (const { start, decision } of stretches) {
    if (start >= to) append(result, start, decision);
  }
  return result;
}

function rulesByNumber(
  profile: ReadProfile,
  via: SyscallInterface,
): { rules: Map<number, readonly Rule[]>; last: number | undefined } {
  const doors = via.multiplexed ?? {};
  const rules = new Map<number, Rule[]>();
  let last: number | undefined;
  const add = (number: number, list: readonly Rule[]): void => {
    if (list.length === 0) return;
    const known = rules.get(number);
    if (!known) rules.set(number, [...list]);
    else for (const rule of list) known.push(rule);
  };
  for (const rule of profile.rules) {
    for (const name of rule.names) {
      const number = via.numberOf(name);
      if (number !== undefined) {
        add(number, rule.alternatives);
        if (number < (via.privateFrom ?? Infinity)) last = Math.max(last ?? 0, number);
      }
      const selected = Object.hasOwn(doors, name) ? doors[name] : undefined;
      if (selected) add(via.numberOf(selected[0])!, selectedRules(rule, selected));
    }
  }
  return { rules, last };
}

/** ipc(2) has a version in the high half of its selector. */
const SELECTOR_MASKS: Readonly<Record<string, bigint>> = {
  ipc: 0xffffn,
  socketcall: 0xffff_ffffn,
};

/**
 * A rule about socket(2) must hold for socketcall(SYS_SOCKET) as well, or 32-bit programs have
 * another door. But the arguments are behind a pointer there, where no filter can look. So a rule
 * with arguments that refuses does so for all arguments, and one that permits does not permit. (The
 * latter is stricter than libseccomp, whose way let AF_ALG sockets through: containerd#13330.)
 */
function selectedRules(rule: NamedRules, selected: readonly [string, number]): Rule[] {
  const [name, selector] = selected;
  const first = rule.alternatives[0];
  if (first === undefined) return [];
  const hasConditions = rule.alternatives.some(({ conditions }) => conditions.length > 0);
  if (hasConditions && rule.permissive) return [];
  const condition: Condition = {
    index: 0,
    comparison: 'masked',
    negated: false,
    value: BigInt(selector),
    mask: SELECTOR_MASKS[name]!,
  };
  return [{ conditions: [condition], value: first.value }];
}

/** What x86-64 does with numbers of x32 where the profile does not admit it: as with any other
 * interface. But -1 is what a tracer writes for "skip this call", and no call of x32. */
export function refusedX32(graph: DecisionGraph, profile: ReadProfile): Stretch[] {
  return [
    { start: 0x4000_0000, decision: graph.answer(SECCOMP_RET_KILL_PROCESS) },
    { start: 0xffff_ffff, decision: graph.answer(profile.defaultValue) },
  ];
}
