/** `strata-ns caps` and `strata-ns process`: what a process may do and how it runs, in words. */
import {
  type CapabilityState,
  capabilityNames,
  lastCapability,
} from '../capabilities/capabilities.ts';
import { readCapabilities } from '../capabilities/capability-sets.ts';
import {
  describeFileCapabilities,
  getFileCapabilities,
} from '../capabilities/file-capabilities.ts';
import type { Verb } from '../command-line/flags.ts';
import { print } from '../command-line/print.ts';
import { decodePersonality } from '../credentials/personality.ts';
import { errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { formatLimit, getResourceLimits, resourceName } from '../limits/resource-limits.ts';
import { type Ids, readProcessFile, readProcessStatus } from '../processes/process-status.ts';
import { decodeIoPriority } from '../scheduling/io-priority.ts';
import { formatNumberList, maskToNumbers } from '../scheduling/number-list.ts';
import { describeScheduler } from '../scheduling/scheduler.ts';
import { readLabel } from '../security-modules/labels.ts';
import { activeSecurityModules, type LabelModule } from '../security-modules/security-modules.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';

/** The sets in the order in which execve looks at them, with what they mean. */
const SETS: readonly [keyof CapabilityState, string][] = [
  ['effective', 'counts now'],
  ['permitted', 'can be made effective'],
  ['inheritable', 'an executed file may pass on'],
  ['bounding', 'the most that execve can ever give'],
  ['ambient', 'kept when an ordinary file is executed'],
];

/** `none`, `all 41`, `all but CAP_SYS_TIME`, or the names. */
function describeSet(mask: bigint): string {
  const all = (1n << BigInt(lastCapability() + 1)) - 1n;
  const missing = capabilityNames(all & ~mask);
  const names = capabilityNames(mask);
  if (names.length === 0) return 'none';
  if (missing.length === 0) return `all ${names.length}`;
  return missing.length < names.length / 2 ? `all but ${missing.join(' ')}` : names.join(' ');
}

function parsePid(text: string): number {
  const pid = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (pid > 0 && pid < 2 ** 31) return pid;
  throw new StrataError('USAGE', `not a process id: ${JSON.stringify(text)}`);
}

const caps: Verb = {
  summary: 'show the capabilities of a process or a file',
  usage: 'PID | --file PATH',
  arguments: [0, 1],
  flags: { file: { type: 'string', short: 'f', value: 'PATH', help: "a file's, as getcap(8)" } },
  run(call) {
    const path = call.text('file');
    const [pid] = call.arguments;
    if ((path === undefined) === (pid === undefined)) {
      throw new StrataError('USAGE', 'caps takes a PID or --file PATH');
    }
    if (path !== undefined) {
      const capabilities = getFileCapabilities(localSyscalls(), path);
      print(`${path} ${capabilities ? describeFileCapabilities(capabilities) : 'has none'}\n`);
      return 0;
    }
    const state = readCapabilities(parsePid(pid!));
    for (const [set, meaning] of SETS) {
      print(`${set.padEnd(12)} ${describeSet(state[set])}\n${''.padEnd(13)}(${meaning})\n`);
    }
    return 0;
  },
};

const describeIds = ({ real, effective, saved, filesystem }: Ids): string =>
  new Set([real, effective, saved, filesystem]).size === 1
    ? String(real)
    : `${real}, effective ${effective}, saved ${saved}, for files ${filesystem}`;

/** What only some may see of others: the value, or why not. */
function orWhyNot(look: () => string): string {
  try {
    return look();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return `(not to be seen: ${errnoName(errno)})`;
  }
}

function limitLines(pid: number): string[] {
  return getResourceLimits(localSyscalls(), pid).map(({ resource, soft, hard }) => {
    const name = resourceName(resource).replace('RLIMIT_', '').toLowerCase();
    const bound = soft === hard ? '' : `, up to ${formatLimit(hard)}`;
    return `${name} ${formatLimit(soft)}${bound}`;
  });
}

function describePersonality(pid: number): string {
  const value = Number.parseInt(readProcessFile(pid, 'personality'), 16);
  const { domain, flags = [] } = decodePersonality(value);
  return [domain, ...flags].join(' ');
}

function labelRows(pid: number): [string, string][] {
  const active = activeSecurityModules();
  const labelling = (['apparmor', 'selinux'] as LabelModule[]).filter((name) =>
    active.includes(name),
  );
  return labelling.map((name) => [name, orWhyNot(() => readLabel(name, pid) ?? 'none')]);
}

function describeProcess(pid: number): [string, string][] {
  const sys = localSyscalls();
  const status = readProcessStatus(pid);
  const { capabilities } = status;
  const ioPriority = decodeIoPriority(sys.ioprioGet(pid));
  const inner = status.pids.slice(1).map((id) => `, ${id} in its PID namespace`);
  return [
    ['process', `${pid}${inner.join('')}: ${JSON.stringify(status.name)}, ${status.state}`],
    ['parent', String(status.parent)],
    ['uid', describeIds(status.uids)],
    ['gid', describeIds(status.gids)],
    ['groups', status.groups.join(' ') || 'none'],
    ...SETS.map(([set]): [string, string] => [set, describeSet(capabilities[set])]),
    ['no_new_privs', status.noNewPrivileges ? 'yes: execve gives it nothing more' : 'no'],
    ['seccomp', status.seccomp],
    ['scheduler', orWhyNot(() => describeScheduler(sys.schedGetattr(pid)))],
    ['io priority', `${ioPriority.class}, level ${ioPriority.priority}`],
    ['cpus', orWhyNot(() => formatNumberList(maskToNumbers(sys.schedGetaffinity(pid))))],
    ['personality', orWhyNot(() => describePersonality(pid))],
    ...labelRows(pid),
    ['modules', activeSecurityModules().join(' ')],
    ['limits', orWhyNot(() => limitLines(pid).join('\n'.padEnd(15)))],
  ];
}

const process: Verb = {
  summary: 'show who a process is, what it may do and how it runs',
  usage: 'PID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    const rows = describeProcess(parsePid(call.arguments[0]!));
    print(rows.map(([name, value]) => `${name.padEnd(13)} ${value}\n`).join(''));
    return 0;
  },
};

export const processVerbs: Readonly<Record<string, Verb>> = { caps, process };
