/**
 * The shape of `process`, and the words it may use.
 *
 * @see runtime-spec config.md#process, config.md#linux-process
 */
import {
  IO_PRIORITY_CLASSES,
  parseNumberList,
  RESOURCE_LIMIT_NAMES,
  SCHEDULER_FLAGS,
  SCHEDULING_POLICIES,
  schedulerAttributes,
} from '@strata/namespaces';
import {
  absolutePath,
  all,
  boolean,
  type Check,
  int32,
  integer,
  list,
  nonEmptyText,
  object,
  oneOf,
  type Rule,
  straightPath,
  text,
  textLike,
  uint64,
  userId,
} from './checks.ts';
import { kernelTakes } from './kernel-takes.ts';
import { Problem, problemAt, shown } from './problem.ts';
import type { Capabilities, Rlimit, Scheduler, SpecProcess, User } from './spec.ts';

/** Those that a spec may name; the kernel has IOPRIO_CLASS_NONE as well. */
const IO_CLASSES = IO_PRIORITY_CLASSES.filter((name) => name !== 'IOPRIO_CLASS_NONE');

/** `0-3,7`: as cpuset files and taskset(1) have it. */
export const numberList: Check = (value) => {
  const problem = text(value);
  if (problem) return problem;
  try {
    parseNumberList(value as string);
    return undefined;
  } catch {
    return new Problem(`expected a list of numbers such as 0-3,7, found ${shown(value)}`);
  }
};

/** NAME=VALUE. */
const environment: Check = (value) => {
  const problem = text(value);
  if (problem) return problem;
  const equals = (value as string).indexOf('=');
  if (equals > 0) return undefined;
  return new Problem(`expected NAME=VALUE, found ${shown(value)}`);
};

/** Names the kernel does not know are tolerated and left out, as runc does (see warnings.ts). */
const capability: Check = textLike(/^CAP_[A-Z0-9_]+$/, 'a capability such as CAP_KILL');

const user: Check = object<User>(
  {
    uid: userId,
    gid: userId,
    umask: integer(0, 0o777),
    additionalGids: list(userId),
    username: text,
  },
  ['uid', 'gid'],
);

const capabilities: Check = object<Capabilities>(
  {
    bounding: list(capability),
    effective: list(capability),
    inheritable: list(capability),
    permitted: list(capability),
    ambient: list(capability),
  },
  [],
);

const softWithinHard: Rule<Rlimit> = ({ soft, hard }) =>
  soft > hard ? problemAt(['soft'], `${soft} is above the hard limit ${hard}`) : undefined;

const rlimit: Check = object<Rlimit>(
  { type: oneOf([...RESOURCE_LIMIT_NAMES].sort()), hard: uint64, soft: uint64 },
  ['type', 'hard', 'soft'],
  softWithinHard,
);

const eachLimitOnce: Rule<Rlimit[]> = (limits) => {
  const seen = new Set<string>();
  for (const [index, { type }] of limits.entries()) {
    if (seen.has(type)) return problemAt([index, 'type'], `${type} is given twice`);
    seen.add(type);
  }
  return undefined;
};

const scheduler: Check = object<Scheduler>(
  {
    policy: oneOf(SCHEDULING_POLICIES),
    nice: integer(-20, 19),
    priority: int32,
    flags: list(oneOf(SCHEDULER_FLAGS)),
    runtime: uint64,
    deadline: uint64,
    period: uint64,
  },
  ['policy'],
  kernelTakes(schedulerAttributes),
);

const hasProgram: Rule<SpecProcess> = ({ args }) => {
  if (args === undefined) return problemAt(['args'], 'is required');
  return args.length === 0
    ? problemAt(['args'], 'must have at least one entry, the program')
    : undefined;
};

/** A process of `config.json` or of `exec --process`. */
export const process: Check = object<SpecProcess>(
  {
    terminal: boolean,
    consoleSize: object<NonNullable<SpecProcess['consoleSize']>>(
      { height: integer(0, 0xffff), width: integer(0, 0xffff) },
      ['height', 'width'],
    ),
    user,
    args: list(text),
    env: list(environment),
    cwd: all(nonEmptyText, absolutePath),
    capabilities,
    rlimits: list(rlimit, eachLimitOnce),
    noNewPrivileges: boolean,
    apparmorProfile: text,
    oomScoreAdj: integer(-1000, 1000),
    selinuxLabel: text,
    scheduler,
    ioPriority: object<NonNullable<SpecProcess['ioPriority']>>(
      { class: oneOf(IO_CLASSES), priority: integer(0, 7) },
      ['class', 'priority'],
    ),
    execCPUAffinity: object<NonNullable<SpecProcess['execCPUAffinity']>>(
      { initial: numberList, final: numberList },
      [],
    ),
  },
  ['user', 'cwd'],
  hasProgram,
);

/** A path of a program on the host. */
export const programPath: Check = all(absolutePath, straightPath);
