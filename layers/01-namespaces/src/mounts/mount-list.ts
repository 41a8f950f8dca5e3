/**
 * The mounts of a namespace, from whichever source the kernel has:
 *
 *   statmount(2), listmount(2)   Linux 6.8; all that is needed here since 6.13
 *   /proc/PID/mountinfo          always, where /proc is mounted
 *
 * Both give the same entries, in the order of mountinfo (a test compares them). By system call there
 * is no file to parse and none that a /proc mounted by somebody else could show; and ids are known
 * that are never used twice.
 *
 * @see statmount(2), proc_pid_mountinfo(5), mount_namespaces(7)
 */
import { EINVAL, ENOENT, ENOSYS, ENOTTY, EPERM } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  MOUNT_ATTR_ATIME,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_RELATIME,
  MS_DIRSYNC,
  MS_LAZYTIME,
  MS_MANDLOCK,
  MS_RDONLY,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
  O_PATH,
  O_RDONLY,
  STATMOUNT_FS_SUBTYPE,
  STATMOUNT_FS_TYPE,
  STATMOUNT_MNT_BASIC,
  STATMOUNT_MNT_GIDMAP,
  STATMOUNT_MNT_OPTS,
  STATMOUNT_MNT_POINT,
  STATMOUNT_MNT_ROOT,
  STATMOUNT_MNT_UIDMAP,
  STATMOUNT_OPT_ARRAY,
  STATMOUNT_OPT_SEC_ARRAY,
  STATMOUNT_PROPAGATE_FROM,
  STATMOUNT_SB_BASIC,
  STATMOUNT_SB_SOURCE,
} from '../syscalls/constants.ts';
import { LSMT_ROOT, type MountStatus } from '../syscalls/mount-listing-calls.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { type MountInfo, parseMountinfo } from './mountinfo.ts';
import { type Propagation, parsePropagation } from './propagation.ts';

/** A mount, from either source. */
export interface MountEntry extends Omit<MountInfo, 'optionalFields'> {
  propagation: Propagation;
  /** Never used twice. Only from statmount(2). */
  uniqueId?: bigint;
  /** Lines of `inside outside length`, of a mount with an id map. Only from statmount(2). */
  uidMap?: string[];
  gidMap?: string[];
}

export type MountSource = 'statmount' | 'mountinfo';

export interface ListMountsOptions {
  /** Who is asked; default: this thread. */
  sys?: Syscalls;
  /** The process whose mounts they are, in the PID namespace of /proc; default: the one asked. */
  pid?: number;
  /** Only this source; default: statmount where it knows enough. */
  source?: MountSource;
}

const WANTED =
  STATMOUNT_SB_BASIC |
  STATMOUNT_MNT_BASIC |
  STATMOUNT_PROPAGATE_FROM |
  STATMOUNT_MNT_ROOT |
  STATMOUNT_MNT_POINT |
  STATMOUNT_FS_TYPE |
  STATMOUNT_FS_SUBTYPE |
  STATMOUNT_SB_SOURCE |
  STATMOUNT_MNT_OPTS |
  STATMOUNT_OPT_ARRAY |
  STATMOUNT_OPT_SEC_ARRAY |
  STATMOUNT_MNT_UIDMAP |
  STATMOUNT_MNT_GIDMAP;

/** What an older kernel says, or one that does not let us look. */
const NO_STATMOUNT: ReadonlySet<number | undefined> = new Set([ENOSYS, EINVAL, EPERM, ENOTTY]);

/**
 * All mounts that a process can reach from its root.
 *
 * @throws {SyscallError} ENOENT for a process that is not there, EACCES or EPERM for one of others
 * @throws {StrataError} INVALID_MOUNTINFO; ENOSYS where only statmount was asked for and it does
 *   not know enough
 */
export function listMounts(options: ListMountsOptions = {}): MountEntry[] {
  const sys = options.sys ?? localSyscalls();
  if (options.source !== 'mountinfo') {
    const mounts = viaStatmount(sys, options);
    if (mounts) return mounts;
  }
  return viaMountinfo(sys, options.pid);
}

/**
 * The mount that a file is on.
 * @param where an open descriptor, or a path, whose last symbolic link is followed
 * @throws {SyscallError} ENOENT and others for the path
 * @throws {StrataError} ENOENT for a mount that is not in the namespace of who is asked: a detached
 *   one, before Linux 6.8
 */
export function mountOf(where: number | string, sys: Syscalls = localSyscalls()): MountEntry {
  if (typeof where === 'number') return mountOfDescriptor(where, sys);
  const fd = sys.openat2(where, { flags: O_PATH });
  try {
    return mountOfDescriptor(fd, sys);
  } finally {
    sys.close(fd);
  }
}

function mountOfDescriptor(fd: number, sys: Syscalls): MountEntry {
  const unique = sys.mountIdOf(fd);
  if (unique) {
    const entry = entryFrom(sys.statmount({ mountId: unique.id }, WANTED));
    if (entry && entry.source !== undefined) return entry;
  }
  const { mountId } = sys.statx(fd, '', AT_EMPTY_PATH);
  const found = viaMountinfo(sys, undefined).find(({ id }) => id === Number(mountId));
  if (found) return found;
  throw new StrataError('ENOENT', `descriptor ${fd} is on a mount that cannot be seen from here`);
}

function viaStatmount(sys: Syscalls, options: ListMountsOptions): MountEntry[] | undefined {
  try {
    const mounts = statAll(sys, options.pid);
    if (mounts || options.source !== 'statmount') return mounts;
  } catch (error) {
    if (options.source === 'statmount' || !NO_STATMOUNT.has(errnoOf(error))) throw error;
    return undefined;
  }
  throw new StrataError('ENOSYS', 'statmount cannot tell all there is to know of these mounts', {
    hint: 'the kernel is older than Linux 6.13, or the process has a root of its own (chroot)',
  });
}

/** Undefined where they would not be the same as in mountinfo. */
function statAll(sys: Syscalls, pid: number | undefined): MountEntry[] | undefined {
  const namespaceId = pid === undefined ? undefined : namespaceIdOf(sys, pid);
  const statuses: MountStatus[] = [];
  for (const mountId of sys.listmount({ mountId: LSMT_ROOT, namespaceId })) {
    const status = statIfThere(sys, { mountId, namespaceId });
    if (status) statuses.push(status);
  }
  // The source came last of what is needed (Linux 6.13); it is not said of a mount that has none.
  if (!statuses.some(({ source }) => source !== undefined)) return undefined;
  const mounts = statuses.map(entryFrom);
  return pid === undefined || isSeenFromTop(sys, pid, mounts) ? mounts : undefined;
}

/** Mounts of another namespace are as seen from its top; mountinfo's are as the process sees them. */
function isSeenFromTop(sys: Syscalls, pid: number, mounts: readonly MountEntry[]): boolean {
  const root = sys.mountIdOf(AT_FDCWD, `/proc/${pid}/root`);
  if (!root?.isRoot) return false;
  return mounts.some(({ uniqueId, mountPoint }) => uniqueId === root.id && mountPoint === '/');
}

function namespaceIdOf(sys: Syscalls, pid: number): bigint {
  const fd = sys.openat2(`/proc/${pid}/ns/mnt`, { flags: O_RDONLY });
  try {
    return sys.mountNamespaceId(fd);
  } finally {
    sys.close(fd);
  }
}

/** It may be unmounted between two calls. */
function statIfThere(
  sys: Syscalls,
  which: { mountId: bigint; namespaceId: bigint | undefined },
): MountStatus | undefined {
  try {
    return sys.statmount(which, WANTED);
  } catch (error) {
    if (errnoOf(error) === ENOENT) return undefined;
    throw error;
  }
}

function entryFrom(status: MountStatus): MountEntry {
  const { device, mount, uidMap, gidMap } = status;
  // Only a kernel that breaks its own promise leaves these out: they are in the first version.
  if (!device || !mount) throw new StrataError('EINVAL', 'statmount left out what it always has');
  return {
    id: mount.reusedId,
    parentId: mount.reusedParentId,
    device: `${device.major}:${device.minor}`,
    root: status.root ?? '',
    mountPoint: status.mountPoint ?? '',
    options: attributeWords(mount.attributes),
    propagation: propagationFrom(status),
    type: status.subtype ? `${status.type}.${status.subtype}` : (status.type ?? ''),
    source: status.source ?? '',
    superOptions: superWords(status),
    uniqueId: mount.id,
    ...(uidMap && { uidMap }),
    ...(gidMap && { gidMap }),
  };
}

/** In the order in which mountinfo prints them. */
const ATTRIBUTE_WORDS: readonly (readonly [number, string])[] = [
  [MOUNT_ATTR_NOSUID, 'nosuid'],
  [MOUNT_ATTR_NODEV, 'nodev'],
  [MOUNT_ATTR_NOEXEC, 'noexec'],
  [MOUNT_ATTR_NOATIME, 'noatime'],
  [MOUNT_ATTR_NODIRATIME, 'nodiratime'],
];
const SUPER_WORDS: readonly (readonly [number, string])[] = [
  [MS_SYNCHRONOUS, 'sync'],
  [MS_DIRSYNC, 'dirsync'],
  [MS_MANDLOCK, 'mand'],
  [MS_LAZYTIME, 'lazytime'],
];

/** MOUNT_ATTR_* bits as mountinfo has them in words. */
export function attributeWords(attributes: number): string[] {
  const words = [(attributes & MOUNT_ATTR_RDONLY) !== 0 ? 'ro' : 'rw'];
  for (const [bit, word] of ATTRIBUTE_WORDS) if ((attributes & bit) !== 0) words.push(word);
  if ((attributes & MOUNT_ATTR_ATIME) === MOUNT_ATTR_RELATIME) words.push('relatime');
  if ((attributes & MOUNT_ATTR_NOSYMFOLLOW) !== 0) words.push('nosymfollow');
  if ((attributes & MOUNT_ATTR_IDMAP) !== 0) words.push('idmapped');
  return words;
}

function superWords(status: MountStatus): string[] {
  const flags = status.superFlags ?? 0;
  const words = [(flags & MS_RDONLY) !== 0 ? 'ro' : 'rw'];
  for (const [bit, word] of SUPER_WORDS) if ((flags & bit) !== 0) words.push(word);
  const own = status.optionArray ?? (status.options ? status.options.split(',') : []);
  return [...words, ...(status.securityOptions ?? []), ...own];
}

function propagationFrom(status: MountStatus): Propagation {
  const { peerGroup, master, propagation } = status.mount!;
  const from = status.propagateFrom ?? 0;
  return {
    ...(peerGroup !== 0 && { peerGroup }),
    ...(master !== 0 && { master }),
    // mountinfo names it only where it is not the master itself.
    ...(from !== 0 && from !== master && { propagateFrom: from }),
    ...((propagation & MS_UNBINDABLE) !== 0 && { unbindable: true }),
  };
}

function viaMountinfo(sys: Syscalls, pid: number | undefined): MountEntry[] {
  const text = readText(sys, `/proc/${pid ?? 'self'}/mountinfo`);
  return parseMountinfo(text).map(({ optionalFields, ...mount }) => ({
    ...mount,
    propagation: parsePropagation(optionalFields),
  }));
}

const CHUNK_BYTES = 64 << 10;

function readText(sys: Syscalls, path: string): string {
  const fd = sys.openat2(path, { flags: O_RDONLY });
  try {
    const decoder = new TextDecoder();
    const chunk = new Uint8Array(CHUNK_BYTES);
    let text = '';
    for (;;) {
      const length = sys.read(fd, chunk);
      if (length === 0) return text + decoder.decode();
      text += decoder.decode(chunk.subarray(0, length), { stream: true });
    }
  } finally {
    sys.close(fd);
  }
}
