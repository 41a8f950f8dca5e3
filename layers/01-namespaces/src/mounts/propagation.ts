/**
 * Propagation: which mounts hear of what is mounted and unmounted below others.
 *
 *   shared       ⇄ all other mounts of its peer group
 *   slave        ← a peer group (its master), nothing back
 *   slave,shared ← a master, ⇄ a peer group of its own
 *   private      nothing
 *   unbindable   nothing, and it cannot be bind-mounted
 *
 * Peer groups have numbers that are the same in all namespaces, and members in several: that is how
 * a container's mount reaches the host, or the host's a container.
 *
 * @see mount_namespaces(7), section SHARED SUBTREES
 */
import { StrataError } from '../errors/strata-error.ts';
import {
  AT_RECURSIVE,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
} from '../syscalls/constants.ts';
import type { Descriptor } from '../syscalls/memory.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

/** How a mount propagates; nothing set is private. */
export interface Propagation {
  /** The peer group it is a member of. */
  peerGroup?: number;
  /** The peer group it receives from. */
  master?: number;
  /**
   * Where no member of `master` can be seen from here: the nearest group above it of which one can.
   */
  propagateFrom?: number;
  unbindable?: boolean;
}

/** The words of mount(8) and the runtime-spec, as mount(2) takes them: MS_* bits. */
export const PROPAGATION_WORDS: Readonly<Record<string, number>> = {
  shared: MS_SHARED,
  private: MS_PRIVATE,
  slave: MS_SLAVE,
  unbindable: MS_UNBINDABLE,
  rshared: MS_SHARED | MS_REC,
  rprivate: MS_PRIVATE | MS_REC,
  rslave: MS_SLAVE | MS_REC,
  runbindable: MS_UNBINDABLE | MS_REC,
};

/**
 * Changes how a mount propagates.
 * @param fd a descriptor of the mount's root
 * @param flags one of MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE; with MS_REC for all mounts
 *   below as well
 * @throws {SyscallError} EINVAL where `fd` is not the root of a mount
 */
export function setPropagation(sys: Syscalls, fd: Descriptor, flags: number): void {
  const recursive = (flags & MS_REC) !== 0 ? AT_RECURSIVE : 0;
  sys.mountSetattr(fd, { propagation: flags & ~MS_REC }, recursive);
}

const GROUP_TAGS = {
  shared: 'peerGroup',
  master: 'master',
  propagate_from: 'propagateFrom',
} as const;

/**
 * Reads the optional fields of mountinfo; tags that are not known are left out, as its manual asks.
 * @throws {StrataError} INVALID_MOUNTINFO for a known tag without a number
 */
export function parsePropagation(optionalFields: readonly string[]): Propagation {
  const result: Propagation = {};
  for (const field of optionalFields) {
    if (field === 'unbindable') result.unbindable = true;
    const [tag, value] = splitOnce(field);
    if (!Object.hasOwn(GROUP_TAGS, tag)) continue;
    if (!/^\d{1,10}$/.test(value)) {
      throw new StrataError('INVALID_MOUNTINFO', `propagation ${JSON.stringify(field)}: no number`);
    }
    result[GROUP_TAGS[tag as keyof typeof GROUP_TAGS]] = Number(value);
  }
  return result;
}

function splitOnce(field: string): [string, string] {
  const colon = field.indexOf(':');
  return colon < 0 ? [field, ''] : [field.slice(0, colon), field.slice(colon + 1)];
}

/** The type in words, as findmnt(8) prints it: `shared`, `private,slave`, `private`, ... */
export function propagationType(propagation: Propagation): string {
  const words = [propagation.peerGroup === undefined ? 'private' : 'shared'];
  if (propagation.master !== undefined) words.push('slave');
  if (propagation.unbindable) words.push('unbindable');
  return words.join(',');
}

/** What a mount hears and tells, for people. */
export interface Explained {
  mountPoint: string;
  propagation: Propagation;
}

/** The peer groups of a namespace's mounts in sentences, one each; nothing where all are private. */
export function explainPropagation(mounts: readonly Explained[]): string[] {
  const groups = new Set<number>();
  for (const { propagation } of mounts) {
    for (const group of [propagation.peerGroup, propagation.master]) {
      if (group !== undefined) groups.add(group);
    }
  }
  return [...groups].sort((one, other) => one - other).map((group) => explainGroup(group, mounts));
}

function explainGroup(group: number, mounts: readonly Explained[]): string {
  const pointsOf = (matches: (propagation: Propagation) => boolean): string[] =>
    mounts.filter(({ propagation }) => matches(propagation)).map(({ mountPoint }) => mountPoint);
  const members = pointsOf(({ peerGroup }) => peerGroup === group);
  const slaves = pointsOf(({ master }) => master === group);
  const parts: string[] = [];
  if (members.length > 1) parts.push(`${list(members)} tell each other`);
  else if (members.length === 1)
    parts.push(`${members[0]} shares with mounts out of sight, if any`);
  else parts.push('its members are out of sight, in another namespace or outside the root');
  if (slaves.length > 0) {
    const [hear, tell] = slaves.length === 1 ? ['hears', 'tells'] : ['hear', 'tell'];
    parts.push(`${list(slaves)} ${hear} of it and ${tell} nothing back`);
  }
  const nearest = mounts.find(
    ({ propagation }) => propagation.master === group && propagation.propagateFrom !== undefined,
  );
  if (nearest)
    parts.push(`what reaches it comes from peer group ${nearest.propagation.propagateFrom}`);
  return `peer group ${group}: ${parts.join('; ')}`;
}

const list = (points: readonly string[]): string =>
  points.length === 1 ? points[0]! : `${points.slice(0, -1).join(', ')} and ${points.at(-1)}`;
