/**
 * The shape of `linux.seccomp`, and the words it may use.
 *
 * @see runtime-spec config-linux.md#seccomp, seccomp(2)
 */
import {
  absolutePath,
  type Check,
  integer,
  list,
  nonEmptyList,
  nonEmptyText,
  object,
  oneOf,
  type Rule,
  text,
  uint16,
  uint64,
} from './checks.ts';
import { problemAt } from './problem.ts';
import type { LinuxSeccomp, SeccompArgument, SeccompRule } from './spec.ts';

const ACTIONS = [
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
  'SCMP_ACT_NOTIFY',
];
const OPERATORS = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
];
const ARCHITECTURES = [
  'SCMP_ARCH_X86',
  'SCMP_ARCH_X86_64',
  'SCMP_ARCH_X32',
  'SCMP_ARCH_ARM',
  'SCMP_ARCH_AARCH64',
  'SCMP_ARCH_MIPS',
  'SCMP_ARCH_MIPS64',
  'SCMP_ARCH_MIPS64N32',
  'SCMP_ARCH_MIPSEL',
  'SCMP_ARCH_MIPSEL64',
  'SCMP_ARCH_MIPSEL64N32',
  'SCMP_ARCH_PPC',
  'SCMP_ARCH_PPC64',
  'SCMP_ARCH_PPC64LE',
  'SCMP_ARCH_S390',
  'SCMP_ARCH_S390X',
  'SCMP_ARCH_PARISC',
  'SCMP_ARCH_PARISC64',
  'SCMP_ARCH_RISCV64',
  'SCMP_ARCH_LOONGARCH64',
  'SCMP_ARCH_M68K',
  'SCMP_ARCH_SH',
  'SCMP_ARCH_SHEB',
];
const FLAGS = [
  'SECCOMP_FILTER_FLAG_TSYNC',
  'SECCOMP_FILTER_FLAG_LOG',
  'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
  'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
];

const action: Check = oneOf(ACTIONS);

const argument: Check = object<SeccompArgument>(
  { index: integer(0, 5), value: uint64, valueTwo: uint64, op: oneOf(OPERATORS) },
  ['index', 'value', 'op'],
);

/** An agent that is asked about write(2) could not be told anything (runc#2682 has the same rule). */
const neverAsksAboutWrite: Rule<SeccompRule> = ({ names, action }) =>
  action === 'SCMP_ACT_NOTIFY' && names.includes('write')
    ? problemAt(['names', names.indexOf('write')], 'SCMP_ACT_NOTIFY cannot be used for write')
    : undefined;

const rule: Check = object<SeccompRule>(
  { names: nonEmptyList(nonEmptyText), action, errnoRet: uint16, args: list(argument) },
  ['names', 'action'],
  neverAsksAboutWrite,
);

const agentIsReachable: Rule<LinuxSeccomp> = (seccomp) => {
  if (seccomp.defaultAction === 'SCMP_ACT_NOTIFY') {
    return problemAt(['defaultAction'], 'SCMP_ACT_NOTIFY cannot be the default');
  }
  const asks = seccomp.syscalls?.some((rule) => rule.action === 'SCMP_ACT_NOTIFY');
  if (asks && !seccomp.listenerPath) {
    return problemAt(['listenerPath'], 'is required where SCMP_ACT_NOTIFY is used');
  }
  return seccomp.listenerMetadata !== undefined && seccomp.listenerPath === undefined
    ? problemAt(['listenerMetadata'], 'has no meaning without listenerPath')
    : undefined;
};

export const seccomp: Check = object<LinuxSeccomp>(
  {
    defaultAction: action,
    defaultErrnoRet: uint16,
    architectures: list(oneOf(ARCHITECTURES)),
    flags: list(oneOf(FLAGS)),
    listenerPath: absolutePath,
    listenerMetadata: text,
    syscalls: list(rule),
  },
  ['defaultAction'],
  agentIsReachable,
);
