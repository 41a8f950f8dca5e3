/**
 * All namespaces that can be seen from here, and what keeps each of them alive:
 *
 *   processes     /proc/PID/ns/KIND
 *   pins          nsfs mounts in any mount namespace that has a process (see pin.ts)
 *   namespaces    that are within it, or owned by it: followed upward by NS_GET_PARENT, NS_GET_USERNS
 *   births        /proc/PID/ns/{pid,time}_for_children, where it is not the process's own
 *
 * An ordinary user sees other users' processes without their namespaces: so it is what is visible.
 * Threads that have left their process's namespaces and descriptors held open are not looked at.
 *
 * @see lsns(8), namespaces(7), ioctl_nsfs(2)
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { EACCES, EINVAL, ENOENT, EPERM, ESRCH } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { parseMountinfo } from '../mounts/mountinfo.ts';
import { readProcessFile } from '../processes/process-status.ts';
import {
  O_DIRECTORY,
  O_PATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
} from '../syscalls/constants.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { ALL_NAMESPACE_KINDS, NAMESPACE_KINDS, type NamespaceKind } from './kinds.ts';
import { Namespace } from './namespace.ts';

export interface NamespacePin {
  /** Mount point, as seen by process `pid`. */
  path: string;
  /** A process in the mount namespace that has the pin. */
  pid: number;
}

export interface NamespaceEntry {
  kind: NamespaceKind;
  inode: number;
  /** Pids as /proc shows them, ascending. */
  members: number[];
  pins: NamespacePin[];
  /** Processes outside, whose children are born in it. */
  birthplaceOf: number[];
  /** Inode of the user namespace that owns it, whose member made it; of a user namespace: the outer. */
  owner?: number;
  /** Of kinds that nest: inode of the outer one. */
  parent?: number;
  /** Who made it if it is a user namespace, else who made its owner; as seen from ours. */
  ownerUid?: number;
}

/** What /proc/PID/ns shows, `net:[4026531840]`. */
export interface NamespaceLink {
  kind: NamespaceKind;
  inode: number;
}

/** Parses a link of /proc/PID/ns; undefined for a kind that is not known here. */
export function parseNamespaceLink(link: string): NamespaceLink | undefined {
  const match = /^([a-z]+):\[(\d{1,10})\]$/.exec(link);
  if (!match || !Object.hasOwn(NAMESPACE_KINDS, match[1]!)) return undefined;
  return { kind: match[1] as NamespaceKind, inode: Number(match[2]) };
}

/** Errors of a process that has gone or is not ours to look into. */
const ABSENT: ReadonlySet<number | undefined> = new Set([ENOENT, ESRCH, EACCES, EPERM, EINVAL]);

function unlessAbsent<Result>(look: () => Result): Result | undefined {
  try {
    return look();
  } catch (error) {
    if (ABSENT.has(errnoOf(error))) return undefined;
    throw error;
  }
}

/**
 * The inodes of the namespaces a process is in.
 * @throws {StrataError} ESRCH, EACCES for another user's process
 */
export function namespacesOf(pid: number | 'self'): Map<NamespaceKind, number> {
  const links = new Map<NamespaceKind, number>();
  for (const kind of ALL_NAMESPACE_KINDS) {
    const path = `/proc/${pid}/ns/${kind}`;
    try {
      const link = parseNamespaceLink(readlinkSync(path));
      if (link) links.set(kind, link.inode);
    } catch (cause) {
      const errno = errnoOf(cause);
      if (errno === EACCES || errno === EPERM) {
        throw new StrataError('EACCES', `${path}: not for this user`, { errno, path, cause });
      }
      // A kernel without this kind has no such file; a process that has gone has none at all.
      if (unlessAbsent(() => readlinkSync(`/proc/${pid}/ns/user`)) !== undefined) continue;
      throw new StrataError('ESRCH', `no process ${pid}`, { errno: ESRCH, cause });
    }
  }
  return links;
}

/** Every namespace in sight, by kind and then inode. */
export function listNamespaces(): NamespaceEntry[] {
  return new Census().take();
}

/** Counting is one pass over /proc, then one over the mount namespaces found, then upward. */
class Census {
  readonly #entries = new Map<string, NamespaceEntry>();
  readonly #examined = new Set<string>();
  readonly #ownerUids = new Map<number, number>();

  take(): NamespaceEntry[] {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    for (const pid of pids.map(Number).sort((a, b) => a - b)) this.#countProcess(pid);
    for (const entry of [...this.#entries.values()]) {
      if (entry.kind === 'mnt' && entry.members.length > 0) this.#findPins(entry.members);
    }
    for (const entry of [...this.#entries.values()]) this.#examineEntry(entry);
    for (const entry of this.#entries.values()) {
      const from = entry.kind === 'user' ? entry.inode : entry.owner;
      const uid = from === undefined ? undefined : this.#ownerUids.get(from);
      if (uid !== undefined) entry.ownerUid = uid;
    }
    const order = (kind: NamespaceKind): number => ALL_NAMESPACE_KINDS.indexOf(kind);
    return [...this.#entries.values()].sort(
      (a, b) => order(a.kind) - order(b.kind) || a.inode - b.inode,
    );
  }

  #entry({ kind, inode }: NamespaceLink): NamespaceEntry {
    const key = `${kind}:${inode}`;
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { kind, inode, members: [], pins: [], birthplaceOf: [] };
      this.#entries.set(key, entry);
    }
    return entry;
  }

  #countProcess(pid: number): void {
    const links = unlessAbsent(() => namespacesOf(pid));
    if (!links) return;
    for (const [kind, inode] of links) this.#entry({ kind, inode }).members.push(pid);
    for (const kind of ['pid', 'time'] as const) {
      const path = `/proc/${pid}/ns/${kind}_for_children`;
      const text = unlessAbsent(() => readlinkSync(path));
      const link = text === undefined ? undefined : parseNamespaceLink(text);
      if (link && link.inode !== links.get(kind)) this.#entry(link).birthplaceOf.push(pid);
    }
  }

  /** By the first member whose mounts we may see. */
  #findPins(members: readonly number[]): void {
    for (const pid of members) {
      const text = unlessAbsent(() => readProcessFile(pid, 'mountinfo'));
      // A process that ends just then has an empty one.
      if (text === undefined || text === '') continue;
      for (const { type, root, mountPoint } of parseMountinfo(text)) {
        const link = type === 'nsfs' ? parseNamespaceLink(root) : undefined;
        if (link) this.#entry(link).pins.push({ path: mountPoint, pid });
      }
      return;
    }
  }

  #examineEntry(entry: NamespaceEntry): void {
    using namespace = openNamespace(entry);
    if (namespace) this.#examine(namespace, entry);
  }

  /** Asks for its relations, and for theirs. */
  #examine(namespace: Namespace, entry: NamespaceEntry): void {
    const key = `${entry.kind}:${entry.inode}`;
    if (this.#examined.has(key)) return;
    this.#examined.add(key);
    if (entry.kind === 'user') this.#ownerUids.set(entry.inode, namespace.ownerUid);
    using owner = namespace.owner();
    if (owner) entry.owner = this.#follow(owner, 'user');
    using parent = namespace.parent();
    if (parent) entry.parent = this.#follow(parent, entry.kind);
  }

  #follow(namespace: Namespace, kind: NamespaceKind): number {
    const { inode } = namespace;
    this.#examine(namespace, this.#entry({ kind, inode }));
    return inode;
  }
}

/** A descriptor of a listed namespace, by whatever holds it; undefined where all that has gone. */
export function openNamespace(entry: NamespaceEntry): Namespace | undefined {
  const { kind, inode, members, birthplaceOf, pins } = entry;
  const ways = [
    ...members.map((pid) => () => Namespace.ofProcess(pid, kind)),
    ...birthplaceOf.map((pid) => () => Namespace.open(`/proc/${pid}/ns/${kind}_for_children`)),
    ...pins.map((pin) => () => openPin(pin)),
  ];
  for (const open of ways) {
    const namespace = unlessAbsent(open);
    // Somebody may have mounted over the pin, and a pid may be another process's by now.
    if (namespace?.inode === inode) return namespace;
    namespace?.[Symbol.dispose]();
  }
  return undefined;
}

/** Links in another mount namespace lead where that one's user wants: never out of its root. */
function openPin({ path, pid }: NamespacePin): Namespace {
  const sys = localSyscalls();
  const root = sys.openat2(`/proc/${pid}/root`, { flags: O_PATH | O_DIRECTORY });
  try {
    const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const place = sys.openat2(path, { dirfd: root, flags: O_PATH, resolve });
    try {
      return Namespace.reopen(sys, place, path);
    } finally {
      sys.close(place);
    }
  } finally {
    sys.close(root);
  }
}
