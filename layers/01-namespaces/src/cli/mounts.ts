/** `strata-ns mounts [PID]`: what is mounted in a process's namespace, and how it propagates. */
import type { Call, Verb } from '../command-line/flags.ts';
import { print } from '../command-line/print.ts';
import { table } from '../command-line/table.ts';
import { StrataError } from '../errors/strata-error.ts';
import { listMounts, type MountEntry } from '../mounts/mount-list.ts';
import { explainPropagation, propagationType } from '../mounts/propagation.ts';

export const mounts: Verb = {
  summary: "list the mounts of a process's namespace, with their propagation explained",
  usage: '[PID]',
  arguments: [0, 1],
  flags: {
    tree: { type: 'boolean', help: 'draw which mount is on which' },
    json: { type: 'boolean', help: 'print everything that is known, as JSON' },
  },
  run(call) {
    const pid = pidOf(call);
    const entries = listMounts(pid === undefined ? {} : { pid });
    print(call.flag('json') ? asJson(entries) : asTable(entries, call.flag('tree')));
    return 0;
  },
};

function pidOf(call: Call): number | undefined {
  const [word] = call.arguments;
  if (word === undefined) return undefined;
  if (/^[1-9]\d{0,9}$/.test(word)) return Number(word);
  throw new StrataError('USAGE', `not a process id: ${JSON.stringify(word)}`);
}

/** Ids as numbers: they count up from 2^31, one a mount, and stay exact. */
function asJson(entries: readonly MountEntry[]): string {
  const plain = entries.map((entry) => ({
    ...entry,
    propagation: { type: propagationType(entry.propagation), ...entry.propagation },
    ...(entry.uniqueId !== undefined && { uniqueId: Number(entry.uniqueId) }),
  }));
  return `${JSON.stringify(plain, null, 2)}\n`;
}

function asTable(entries: readonly MountEntry[], tree: boolean): string {
  const placed = tree ? treeOf(entries) : entries.map((entry) => ({ entry, branch: '' }));
  const rows = placed.map(({ entry, branch }) => [
    branch + printable(entry.mountPoint),
    printable(sourceOf(entry)),
    printable(entry.type),
    entry.options.join(','),
    groupsOf(entry),
  ]);
  const header = ['TARGET', 'SOURCE', 'TYPE', 'OPTIONS', 'PROPAGATION'];
  const explained = explainPropagation(
    entries.map(({ mountPoint, propagation }) => ({
      mountPoint: printable(mountPoint),
      propagation,
    })),
  );
  const sentences = explained.length === 0 ? '' : `\n${explained.join('\n')}\n`;
  return table([header, ...rows], '  ') + sentences;
}

/** As findmnt(8): what part of the file system it is, where it is not all of it. */
const sourceOf = ({ source, root }: MountEntry): string =>
  root === '/' ? source : `${source}[${root}]`;

/** `shared:5`, `slave:2`, `slave:2,shared:5`, ... */
function groupsOf({ propagation }: MountEntry): string {
  const { master, peerGroup } = propagation;
  const words: string[] = [];
  if (master !== undefined) words.push(`slave:${master}`);
  if (peerGroup !== undefined) words.push(`shared:${peerGroup}`);
  return words.join(',') || propagationType(propagation).replace('private,', '');
}

interface Placed {
  entry: MountEntry;
  branch: string;
}

/** The mounts with the lines of a tree before them; those on one mount in the order of the list. */
function treeOf(entries: readonly MountEntry[]): Placed[] {
  const ids = new Set(entries.map(({ id }) => id));
  const below = Map.groupBy(entries, ({ id, parentId }) =>
    // The topmost hangs on something that cannot be seen from here, or on itself.
    ids.has(parentId) && parentId !== id ? parentId : undefined,
  );
  const placed: Placed[] = [];
  const rest = (below.get(undefined) ?? [])
    .map((entry) => ({ entry, own: '', under: '' }))
    .reverse();
  for (let next = rest.pop(); next; next = rest.pop()) {
    const { entry, own, under } = next;
    placed.push({ entry, branch: own });
    const children = below.get(entry.id) ?? [];
    rest.push(
      ...children
        .map((child, index) => {
          const isLast = index === children.length - 1;
          return {
            entry: child,
            own: `${under}${isLast ? '└─' : '├─'}`,
            under: `${under}${isLast ? '  ' : '│ '}`,
          };
        })
        .reverse(),
    );
  }
  return placed;
}

/** Who mounts chooses the names: what would move a terminal's cursor is shown as an escape. */
const printable = (text: string): string =>
  text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (char) => `\\x${char.codePointAt(0)!.toString(16).padStart(2, '0')}`,
  );
