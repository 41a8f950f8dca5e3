/** `strata-ns ls` and `strata-ns explain`: namespaces in sight, with what keeps them alive. */
import type { Verb } from '../command-line/flags.ts';
import { print } from '../command-line/print.ts';
import { table } from '../command-line/table.ts';
import { EINVAL, ESRCH } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { type IdRange, parseIdMap } from '../namespaces/id-map.ts';
import { NAMESPACE_KINDS, namespaceKind } from '../namespaces/kinds.ts';
import { listNamespaces, type NamespaceEntry, namespacesOf } from '../namespaces/list.ts';
import { Namespace } from '../namespaces/namespace.ts';
import { readTimeOffsets } from '../namespaces/time-offsets.ts';
import { readProcessFile, readProcessStatus } from '../processes/process-status.ts';
import { userName } from '../users/passwd.ts';

const HEADER = ['NS', 'TYPE', 'NPROCS', 'PID', 'USER', 'OWNER', 'CREATOR', 'PARENT', 'COMMAND'];

export const ls: Verb = {
  summary: 'list namespaces, as lsns(8)',
  usage: '[NAMESPACE]',
  arguments: [0, 1],
  flags: {
    type: { type: 'string', short: 't', value: 'KIND', help: 'only user, mnt, pid, net, ipc...' },
    task: { type: 'string', short: 'p', value: 'PID', help: 'only those of this process' },
    tree: {
      type: 'boolean',
      help: 'user namespaces with all they own, and PID namespaces, as trees',
    },
    json: { type: 'boolean', help: 'everything known, members included, as JSON' },
  },
  run(call) {
    let entries = listNamespaces();
    const kind = call.text('type');
    if (kind !== undefined) {
      const only = namespaceKind(kind);
      entries = entries.filter((entry) => entry.kind === only);
    }
    const task = call.text('task');
    if (task !== undefined) {
      const own = namespacesOf(processId(task));
      entries = entries.filter((entry) => own.get(entry.kind) === entry.inode);
    }
    const [inode] = call.arguments;
    if (inode !== undefined) entries = [findNamespace(entries, inode)];
    if (call.flag('json')) print(`${JSON.stringify(entries, null, 2)}\n`);
    else if (call.flag('tree')) print(tree(entries));
    else print(table([HEADER, ...entries.map(rowOf)], '  '));
    return 0;
  },
};

export const explain: Verb = {
  summary: 'tell about one namespace, or about those of a process',
  usage: 'NAMESPACE|PID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    const [text] = call.arguments as [string];
    const entries = listNamespaces();
    const path = text.startsWith('/') ? inodeOfFile(text) : text;
    const entry = entries.find(({ inode }) => String(inode) === path);
    if (entry) print(explainNamespace(entry, entries));
    else if (text.startsWith('/')) findNamespace(entries, path);
    else print(explainProcess(processId(text), entries));
    return 0;
  },
};

function processId(text: string): number | 'self' {
  if (text === 'self' || /^[1-9]\d{0,9}$/.test(text)) return text === 'self' ? text : Number(text);
  throw new StrataError('USAGE', `${JSON.stringify(text)} is no process id`, { errno: EINVAL });
}

/** @throws {StrataError} NOT_A_NAMESPACE: another file may have the number of a namespace */
function inodeOfFile(path: string): string {
  using namespace = Namespace.open(path);
  return String(namespace.inode);
}

function findNamespace(entries: readonly NamespaceEntry[], inode: string): NamespaceEntry {
  const entry = entries.find((candidate) => String(candidate.inode) === inode);
  if (entry) return entry;
  throw new StrataError('ESRCH', `no namespace ${JSON.stringify(inode)} is in sight`, {
    errno: ESRCH,
    hint: 'strata-ns ls lists them; other users’ need root',
  });
}

const shown = (value: number | undefined): string => (value === undefined ? '-' : String(value));

function rowOf(entry: NamespaceEntry): string[] {
  const { inode, kind, members, ownerUid, owner, parent } = entry;
  const [pid] = members;
  const user = pid === undefined ? undefined : uidOf(pid);
  return [
    String(inode),
    kind,
    String(members.length),
    shown(pid),
    user === undefined ? '-' : userName(user),
    ownerUid === undefined ? '-' : userName(ownerUid),
    shown(owner),
    shown(parent),
    pid === undefined ? holderOf(entry) : commandOf(pid),
  ];
}

function holderOf({ pins, birthplaceOf }: NamespaceEntry): string {
  if (pins.length > 0) return pins.map(({ path }) => printable(path)).join(' ');
  return birthplaceOf.length > 0
    ? `(children of ${birthplaceOf.join(', ')})`
    : '(what is within it)';
}

function uidOf(pid: number): number | undefined {
  try {
    return readProcessStatus(pid).uids.real;
  } catch {
    return undefined;
  }
}

/** The command line, or a kernel thread's or emptied process's name in brackets. */
function commandOf(pid: number): string {
  try {
    const words = readProcessFile(pid, 'cmdline').split('\0').join(' ').trim();
    if (words !== '') return printable(words.slice(0, 100));
    return `[${printable(readProcessStatus(pid).name)}]`;
  } catch {
    return '(gone)';
  }
}

/** A process names itself as it likes: no control characters on our terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}

function tree(entries: readonly NamespaceEntry[]): string {
  const lines: string[] = [];
  const listed = new Set(entries);
  const line = (entry: NamespaceEntry): string => {
    const [pid] = entry.members;
    const first = pid === undefined ? holderOf(entry) : `${pid} ${commandOf(pid)}`;
    return `${entry.kind} ${entry.inode}  ${entry.members.length} processes  ${first}`;
  };
  const draw = (entry: NamespaceEntry, indent: string, children: Children): void => {
    const below = children(entry).filter((child) => listed.has(child));
    below.forEach((child, index) => {
      const isLast = index === below.length - 1;
      lines.push(`${indent}${isLast ? '└─' : '├─'} ${line(child)}`);
      draw(child, `${indent}${isLast ? '   ' : '│  '}`, children);
    });
  };
  type Children = (entry: NamespaceEntry) => NamespaceEntry[];
  const within: Children = ({ kind, inode }) =>
    entries.filter((child) => child.kind === kind && child.parent === inode);
  const owned: Children = (entry) =>
    entry.kind === 'user' ? entries.filter(({ owner }) => owner === entry.inode) : [];
  const roots = (kind: string): NamespaceEntry[] =>
    entries.filter(
      (entry) => entry.kind === kind && !entries.some((outer) => within(outer).includes(entry)),
    );
  for (const [kind, children] of [['user', owned] as const, ['pid', within] as const]) {
    for (const root of roots(kind)) {
      lines.push(line(root));
      draw(root, '', children);
    }
  }
  return lines.length > 0 ? `${lines.join('\n')}\n` : '';
}

function explainNamespace(entry: NamespaceEntry, all: readonly NamespaceEntry[]): string {
  const { kind, inode, members, pins, birthplaceOf, owner, parent, ownerUid } = entry;
  const { isolates, manual } = NAMESPACE_KINDS[kind];
  const isOurs = namespacesOf('self').get(kind) === inode;
  const within = all.filter((other) => other.parent === inode && other.kind === kind);
  const owned = all.filter((other) => kind === 'user' && other.owner === inode);
  const lines: [string, string | undefined][] = [
    ['', `${kind} namespace ${inode}${isOurs ? ', which is ours' : ''}`],
    ['isolates', isolates],
    ['manual', manual],
    ['owner', owner === undefined ? 'out of sight' : `user namespace ${owner}`],
    ['made by', ownerUid === undefined ? undefined : `${userName(ownerUid)} (uid ${ownerUid})`],
    ['within', parent === undefined ? undefined : `${kind} namespace ${parent}`],
    ['contains', within.map((other) => other.inode).join(', ') || undefined],
    ['owns', owned.map((other) => `${other.kind} ${other.inode}`).join(', ') || undefined],
    ...pins.map(({ path }): [string, string] => ['pinned at', printable(path)]),
    ['born in it', birthplaceOf.length > 0 ? `children of ${birthplaceOf.join(', ')}` : undefined],
    ['processes', String(members.length)],
    ...members.map((pid): [string, string] => ['', `  ${pid} ${commandOf(pid)}`]),
  ];
  return lines
    .filter(([, text]) => text !== undefined)
    .map(([name, text]) => (name === '' ? `${text}\n` : `  ${name.padEnd(11)} ${text}\n`))
    .join('');
}

function explainProcess(pid: number | 'self', all: readonly NamespaceEntry[]): string {
  const own = namespacesOf(pid);
  const ours = namespacesOf('self');
  const { pids, name } = readProcessStatus(pid);
  const rows = [...own].map(([kind, inode]) => {
    const entry = all.find((other) => other.kind === kind && other.inode === inode);
    const company = entry ? `${entry.members.length} processes` : '';
    const place = ours.get(kind) === inode ? 'as we' : 'its own';
    return ['', kind, String(inode), place, company, NAMESPACE_KINDS[kind].isolates];
  });
  const ids = (file: string): string => mapInWords(parseIdMap(readProcessFile(pid, file)));
  const facts = [
    ['', 'pids, from the outermost namespace inward', pids.join(' ')],
    ['', 'uid map (inside:outside:count)', ids('uid_map')],
    ['', 'gid map', ids('gid_map')],
    ['', 'setgroups', readProcessFile(pid, 'setgroups').trim()],
    ...(own.has('time') ? [['', 'clocks of its children', clocksOf(pid)]] : []),
  ];
  return `process ${pid} (${printable(name)})\n${table(rows, '  ')}${table(facts, '  ')}`;
}

const mapInWords = (ranges: readonly IdRange[]): string =>
  ranges.map(({ inside, outside, count }) => `${inside}:${outside}:${count}`).join(' ') || 'none';

function clocksOf(pid: number | 'self'): string {
  return Object.entries(readTimeOffsets(pid))
    .map(([clock, { seconds, nanoseconds }]) => `${clock} ${seconds + nanoseconds / 1e9} s`)
    .join(', ');
}
