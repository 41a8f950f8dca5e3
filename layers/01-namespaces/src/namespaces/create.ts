/**
 * A process in new namespaces, made ready for a program: what unshare(1) does.
 *
 *   using inside = createNamespaces({ kinds: ['user', 'mnt', 'pid'], idMaps, proc: '/proc' });
 *   using child = inside.exec({ path: 'sh', argv: ['sh'], env: process.env });
 *   const { code, status } = await child.wait();
 *
 * The order matters, and each step needs the one before it:
 *
 *   clone into all but time ─▶ id maps, written from outside ─▶ clock offsets, then the time namespace
 *   ─▶ mounts private, /proc ─▶ host name ─▶ pins, from outside ─▶ ids
 *
 * @see unshare(1), user_namespaces(7)
 */
import { StrataError } from '../errors/strata-error.ts';
import {
  CLONE_NEWTIME,
  CLONE_PARENT,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  O_RDONLY,
} from '../syscalls/constants.ts';
import { mapByHelpers } from '../users/subordinate-ids.ts';
import { checkIdMap, type IdMaps, idOutside, writeIdMaps } from './id-map.ts';
import { Inhabitant } from './inhabitant.ts';
import { type NamespaceKind, namespaceFlags } from './kinds.ts';
import { pinNamespace, unpinNamespace } from './pin.ts';
import { type TimeOffsets, writeTimeOffsets } from './time-offsets.ts';

const PROPAGATION = { private: MS_PRIVATE, slave: MS_SLAVE, shared: MS_SHARED } as const;

export interface NewNamespaces {
  kinds: readonly NamespaceKind[];
  /** Of the new user namespace; without them, everybody in it shows as the overflow id. */
  idMaps?: IdMaps | undefined;
  /** Have newuidmap(1) and newgidmap(1) write the maps, which know what /etc/subuid grants. */
  byHelpers?: boolean | undefined;
  /** Of the new time namespace. */
  timeOffsets?: TimeOffsets | undefined;
  /** Of the new UTS namespace. */
  hostname?: string | undefined;
  /** Where to mount /proc of the new PID namespace, in the new mount namespace. */
  proc?: string | undefined;
  /** How mounts shall spread; default private. With `unchanged`, as they do outside. */
  propagation?: keyof typeof PROPAGATION | 'unchanged' | undefined;
  /** Where each namespace is kept when its processes have ended; made from outside. */
  pins?: readonly { kind: NamespaceKind; path: string }[];
  /** Who to be inside; default: 0 where that is mapped, else as before. */
  ids?: { uid?: number; gid?: number };
}

/**
 * @throws {StrataError} NEEDS_NAMESPACE for an option whose namespace is not made, INVALID_ID_MAP,
 *   ID_MAP, TIME_OFFSETS, CANNOT_PIN; all that was made is gone then, pins included
 * @throws {SyscallError} EPERM for an ordinary user without a user namespace, ENOSPC at a limit of
 *   /proc/sys/user/max_*_namespaces
 */
export function createNamespaces(options: NewNamespaces): Inhabitant {
  checkOptions(options);
  const kinds = new Set(options.kinds);
  const hasTime = kinds.delete('time');
  const flags = namespaceFlags(kinds) + CLONE_PARENT;
  const inside = Inhabitant.start({
    title: 'strata-ns: launcher',
    clone: (launcher) => launcher.clone({ flags }),
  });
  using undo = new DisposableStack();
  undo.use(inside);
  if (options.idMaps) {
    const write = options.byHelpers ? mapByHelpers : writeIdMaps;
    write(inside.pid, options.idMaps);
  }
  if (hasTime) enterNewTime(inside, options.timeOffsets ?? {});
  if (kinds.has('mnt')) arrangeMounts(inside, options);
  if (options.hostname !== undefined) inside.sys.sethostname(options.hostname);
  for (const { kind, path } of options.pins ?? []) {
    pinNamespace(`/proc/${inside.pid}/ns/${kind}`, path);
    undo.defer(() => unpinNamespace(path));
  }
  takeIds(inside, options);
  undo.move();
  return inside;
}

function checkOptions(options: NewNamespaces): void {
  const { kinds, idMaps, timeOffsets, hostname, proc, pins = [], propagation } = options;
  const needs = (isWanted: boolean, kind: NamespaceKind, what: string): void => {
    if (!isWanted || kinds.includes(kind)) return;
    const hint = `add ${kind} to the namespaces to make`;
    throw new StrataError('NEEDS_NAMESPACE', `${what} needs a new ${kind} namespace`, { hint });
  };
  needs(idMaps !== undefined, 'user', 'an id map');
  needs(timeOffsets !== undefined, 'time', 'a clock offset');
  needs(hostname !== undefined, 'uts', 'a host name');
  needs(proc !== undefined, 'pid', 'a /proc of its own');
  needs(proc !== undefined, 'mnt', 'a /proc of its own');
  needs(propagation !== undefined, 'mnt', 'propagation');
  for (const { kind } of pins) needs(true, kind, `a pin of ${kind}`);
  if (!idMaps) return;
  checkIdMap(idMaps.uids);
  checkIdMap(idMaps.gids);
}

/** A process enters a time namespace as a child, or by setns(2) of what its children would get. */
function enterNewTime(inside: Inhabitant, offsets: TimeOffsets): void {
  const { sys } = inside;
  sys.unshare(CLONE_NEWTIME);
  writeTimeOffsets(inside.pid, offsets);
  const fd = sys.openat2('/proc/self/ns/time_for_children', { flags: O_RDONLY });
  sys.setns(fd, CLONE_NEWTIME);
  sys.close(fd);
}

function arrangeMounts({ sys }: Inhabitant, options: NewNamespaces): void {
  const { propagation = 'private', proc } = options;
  if (propagation !== 'unchanged') {
    sys.mount({ target: '/', flags: PROPAGATION[propagation] | MS_REC });
  }
  if (proc === undefined) return;
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  sys.mount({ source: 'proc', target: proc, type: 'proc', flags });
}

function takeIds(inside: Inhabitant, { idMaps, ids = {} }: NewNamespaces): void {
  if (!idMaps && ids.uid === undefined && ids.gid === undefined) return;
  const rootOf = (ranges: IdMaps['uids'] | undefined): number | undefined =>
    ranges && idOutside(ranges, 0) !== undefined ? 0 : undefined;
  const uid = ids.uid ?? rootOf(idMaps?.uids);
  const gid = ids.gid ?? rootOf(idMaps?.gids);
  // Groups of outside show as the overflow id and still count; a privileged map lets go of them.
  const mayDrop = idMaps?.setgroups !== 'deny' && gid !== undefined;
  if (mayDrop && inside.sys.attempt('setgroups', 0, null) === 0) inside.setIds({ gid });
  else if (gid !== undefined) inside.setIds({ gid });
  if (uid !== undefined) inside.setIds({ uid });
}
