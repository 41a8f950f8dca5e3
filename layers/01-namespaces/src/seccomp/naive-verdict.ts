/**
 * For tests: what a profile says about a system call, by reading it from top to bottom. Slow, plain,
 * and sharing nothing with the compiler but the tables.
 */
import type { Architecture } from '../syscalls/numbers.ts';
import { MACHINES, type SyscallInterface } from './architectures.ts';
import type { SeccompData } from './interpret.ts';
import type { SeccompProfile, SeccompProfileArgument, SeccompProfileRule } from './profile.ts';

const RETURNS: Record<string, number> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x30000,
  SCMP_ACT_ERRNO: 0x50000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};

const returned = (action: string, errnoRet = 1): number =>
  RETURNS[action]! + (/ERRNO|TRACE/.test(action) ? errnoRet : 0);

function holds(
  { index, op, value, valueTwo = 0 }: SeccompProfileArgument,
  args: readonly bigint[],
) {
  const [arg, one, two] = [args[index]!, BigInt(value), BigInt(valueTwo)];
  switch (op) {
    case 'SCMP_CMP_NE':
      return arg !== one;
    case 'SCMP_CMP_LT':
      return arg < one;
    case 'SCMP_CMP_LE':
      return arg <= one;
    case 'SCMP_CMP_EQ':
      return arg === one;
    case 'SCMP_CMP_GE':
      return arg >= one;
    case 'SCMP_CMP_GT':
      return arg > one;
    default:
      return (arg & one) === two;
  }
}

/** Whether a rule's arguments match; undefined where it has none. */
function matches({ args = [] }: SeccompProfileRule, given: readonly bigint[]): boolean | undefined {
  if (args.length === 0) return undefined;
  const isRepeated = new Set(args.map(({ index }) => index)).size < args.length;
  return isRepeated
    ? args.some((arg) => holds(arg, given))
    : args.every((arg) => holds(arg, given));
}

function interfaceOf(
  profile: SeccompProfile,
  machine: Architecture,
  { nr, arch }: SeccompData,
): SyscallInterface | undefined {
  const via = MACHINES[machine].find(
    ({ auditArch, range }) => auditArch === arch && nr >= range[0] && nr <= range[1],
  );
  const isOwn = via === MACHINES[machine][0];
  return via && (isOwn || profile.architectures?.includes(via.name)) ? via : undefined;
}

export function naiveVerdict(
  profile: SeccompProfile,
  machine: Architecture,
  data: SeccompData,
): number {
  const { nr, args = [] } = data;
  const otherwise = returned(profile.defaultAction, profile.defaultErrnoRet);
  const via = interfaceOf(profile, machine, data);
  if (!via) {
    const isSkipped = nr === 0xffffffff && data.arch === MACHINES['x86-64'][0]!.auditArch;
    return isSkipped && machine === 'x86-64' ? otherwise : RETURNS.SCMP_ACT_KILL_PROCESS!;
  }
  const numbers = new Map(Object.entries(via.numbers()));
  const doors = new Map(Object.entries(via.multiplexed ?? {}));
  const isPrivate = (number: number): boolean => number >= (via.privateFrom ?? Infinity);
  const rules = profile.syscalls ?? [];
  const last = Math.max(
    ...rules.flatMap(({ names }) =>
      names.map((name) => numbers.get(name) ?? -1).filter((number) => !isPrivate(number)),
    ),
    -1,
  );
  if (last >= 0 && nr > last && !isPrivate(nr)) {
    const isKind = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(
      profile.defaultAction,
    );
    if (!isKind && profile.defaultErrnoRet !== 38) return 0x50000 + 38;
  }
  const verdicts = rules.flatMap((rule): { always: boolean; value: number }[] => {
    const value = returned(rule.action, rule.errnoRet);
    if (value === otherwise) return [];
    return rule.names.flatMap((name) => {
      const match = matches(rule, args);
      const found: { always: boolean; value: number }[] = [];
      if (numbers.get(name) === nr && match !== false) found.push({ always: !match, value });
      const [door, selector] = doors.get(name) ?? [];
      if (door !== undefined && numbers.get(door) === nr) {
        const selected = door === 'ipc' ? args[0]! & 0xffffn : args[0]!;
        const isBlind = (rule.args ?? []).length > 0 && /ALLOW|LOG|TRACE|NOTIFY/.test(rule.action);
        if (selected === BigInt(selector!) && !isBlind) found.push({ always: false, value });
      }
      return found;
    });
  });
  return (verdicts.find(({ always }) => always) ?? verdicts[0])?.value ?? otherwise;
}
