/**
 * What is mounted: statmount(2) and listmount(2), of Linux 6.8.
 *
 *   struct statmount   512 bytes of header, numbers and offsets
 *                      strings, each ended by a NUL, at those offsets behind it
 *
 * Mounts are named by ids of 64 bits that are never used twice, unlike those in mountinfo. A later
 * kernel fills in more; `mask` says what it did.
 */
import { EINVAL, EOVERFLOW } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import {
  AT_EMPTY_PATH,
  NS_GET_MNTNS_ID,
  STATMOUNT_FS_SUBTYPE,
  STATMOUNT_FS_TYPE,
  STATMOUNT_MNT_BASIC,
  STATMOUNT_MNT_GIDMAP,
  STATMOUNT_MNT_NS_ID,
  STATMOUNT_MNT_OPTS,
  STATMOUNT_MNT_POINT,
  STATMOUNT_MNT_ROOT,
  STATMOUNT_MNT_UIDMAP,
  STATMOUNT_OPT_ARRAY,
  STATMOUNT_OPT_SEC_ARRAY,
  STATMOUNT_PROPAGATE_FROM,
  STATMOUNT_SB_BASIC,
  STATMOUNT_SB_SOURCE,
} from './constants.ts';
import { Out } from './memory.ts';
import { MountCalls } from './mount-calls.ts';
import { structLayout } from './struct-layout.ts';

const MNT_ID_REQ = structLayout(32, {
  size: 'u32',
  spare: 'u32',
  mountId: 'u64',
  param: 'u64',
  namespaceId: 'u64',
});
/** Before Linux 6.11: without the namespace. */
const MNT_ID_REQ_BYTES_VER0 = 24;

const STATMOUNT = structLayout(512, {
  size: 'u32',
  options: 'u32',
  mask: 'u64',
  deviceMajor: 'u32',
  deviceMinor: 'u32',
  magic: 'u64',
  superFlags: 'u32',
  type: 'u32',
  mountId: 'u64',
  parentId: 'u64',
  reusedId: 'u32',
  reusedParentId: 'u32',
  attributes: 'u64',
  propagation: 'u64',
  peerGroup: 'u64',
  master: 'u64',
  propagateFrom: 'u64',
  root: 'u32',
  mountPoint: 'u32',
  namespaceId: 'u64',
  subtype: 'u32',
  source: 'u32',
  optionCount: 'u32',
  optionArray: 'u32',
  securityOptionCount: 'u32',
  securityOptionArray: 'u32',
  supportedMask: 'u64',
  uidMapCount: 'u32',
  uidMap: 'u32',
  gidMapCount: 'u32',
  gidMap: 'u32',
  spare: 344,
});

/** Which mount, and in which namespace. */
export interface MountId {
  /** Never used twice; of statx(2) with STATX_MNT_ID_UNIQUE, or from `listmount`. */
  mountId: bigint;
  /** Of `mountNamespaceId`; default: the executing process's own. Needs Linux 6.11. */
  namespaceId?: bigint | undefined;
}

/** A mount as the kernel describes it. What was not asked for, or is not known, is undefined. */
export interface MountStatus {
  /** STATMOUNT_* bits: what the kernel has filled in. */
  mask: number;
  device?: { major: number; minor: number };
  /** The file system's magic number (TMPFS_MAGIC, ...). */
  magic?: number;
  /** Bits of the superblock: MS_RDONLY, MS_SYNCHRONOUS, MS_DIRSYNC, MS_LAZYTIME. */
  superFlags?: number;
  mount?: {
    id: bigint;
    parentId: bigint;
    /** The ids of mountinfo. */
    reusedId: number;
    reusedParentId: number;
    /** MOUNT_ATTR_* bits. */
    attributes: number;
    /** MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE. */
    propagation: number;
    /** 0 for one that is not shared. */
    peerGroup: number;
    /** The peer group it receives from; 0 for none. */
    master: number;
  };
  /** The nearest peer group in the same namespace that it receives from; 0 for none. */
  propagateFrom?: number;
  root?: string;
  /** As seen from the executing process's root, or the namespace's where one was named. */
  mountPoint?: string;
  type?: string;
  subtype?: string;
  namespaceId?: bigint;
  source?: string;
  /** Separated by commas; from `optionArray` a comma within an option can be told. */
  options?: string;
  optionArray?: string[];
  securityOptions?: string[];
  /** Lines of `inside outside length`, of a mount with an id map. */
  uidMap?: string[];
  gidMap?: string[];
}

/** The bottom of the namespace's tree, for `listmount`. */
export const LSMT_ROOT = 0xffff_ffff_ffff_ffffn;
/** Enough for all but an overlay of many layers. */
const FIRST_STATMOUNT_BYTES = 4096;
const MOST_STATMOUNT_BYTES = 1 << 20;
const IDS_AT_A_TIME = 512;

const STATX_BYTES = 256;
const STATX_MNT_ID_UNIQUE = 0x4000;
const STATX_ATTR_MOUNT_ROOT = 0x2000;

export class MountListingCalls extends MountCalls {
  /**
   * The mount that a file is on, as statmount takes it, and whether the file is that mount's root.
   * Undefined before Linux 6.8.
   * @see statx(2), STATX_MNT_ID_UNIQUE
   */
  mountIdOf(fd: number, path = '', flags = 0): { id: bigint; isRoot: boolean } | undefined {
    const out = new Out(new Uint8Array(STATX_BYTES));
    const all = flags | (path === '' ? AT_EMPTY_PATH : 0);
    this.call('statx', fd, path, all, STATX_MNT_ID_UNIQUE, out);
    const view = new DataView(out.bytes.buffer);
    if ((view.getUint32(0, true) & STATX_MNT_ID_UNIQUE) === 0) return undefined;
    const isRoot = (view.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0;
    return { id: view.getBigUint64(144, true), isRoot };
  }

  /**
   * What the kernel knows of a mount.
   * @param mask STATMOUNT_* bits
   * @throws {SyscallError} ENOENT where there is no such mount or none of this process's, EPERM for
   *   another namespace, ENOSYS before Linux 6.8
   * @see statmount(2)
   */
  statmount(which: MountId, mask: number): MountStatus {
    const request = mountIdRequest(which, BigInt(mask));
    for (let size = FIRST_STATMOUNT_BYTES; ; size *= 4) {
      const out = new Out(new Uint8Array(size));
      const result = this.attempt('statmount', request, out, size, 0);
      if (result === 0) return parseStatmount(out.bytes);
      if (result !== -EOVERFLOW || size >= MOST_STATMOUNT_BYTES) {
        throw this.failure('statmount', -result, [Number(which.mountId), mask]);
      }
    }
  }

  /**
   * The ids of all mounts below one (not its own), in the order they were made.
   * @param which LSMT_ROOT for all that the process can reach from its root
   * @throws {SyscallError} as statmount
   * @see listmount(2)
   */
  listmount(which: MountId): bigint[] {
    const ids: bigint[] = [];
    for (;;) {
      const request = mountIdRequest(which, ids.at(-1) ?? 0n);
      const out = new Out(new Uint8Array(IDS_AT_A_TIME * 8));
      const count = this.attempt('listmount', request, out, IDS_AT_A_TIME, 0);
      if (count < 0) throw this.failure('listmount', -count, [Number(which.mountId)]);
      const view = new DataView(out.bytes.buffer);
      for (let index = 0; index < count; index++) ids.push(view.getBigUint64(index * 8, true));
      if (count < IDS_AT_A_TIME) return ids;
    }
  }

  /**
   * The id of a mount namespace that a descriptor refers to, as statmount and listmount take it.
   * @throws {SyscallError} ENOTTY before Linux 6.11 @see ioctl_nsfs(2)
   */
  mountNamespaceId(fd: number): bigint {
    const out = new Out(new Uint8Array(8));
    this.ioctl(fd, NS_GET_MNTNS_ID, out);
    return new DataView(out.bytes.buffer).getBigUint64(0, true);
  }
}

function mountIdRequest({ mountId, namespaceId }: MountId, param: bigint): Uint8Array {
  const size = namespaceId === undefined ? MNT_ID_REQ_BYTES_VER0 : MNT_ID_REQ.size;
  const values = { size, mountId, param, namespaceId: namespaceId ?? 0n };
  return MNT_ID_REQ.pack(values).subarray(0, size);
}

/**
 * Reads what statmount(2) has written.
 * @throws {StrataError} EINVAL where a string lies outside of it
 */
export function parseStatmount(bytes: Uint8Array): MountStatus {
  const raw = STATMOUNT.unpack(bytes);
  const end = Math.min(raw.size, bytes.length);
  const strings = bytes.subarray(STATMOUNT.size, Math.max(STATMOUNT.size, end));
  const mask = Number(raw.mask);
  const status: MountStatus = { mask };
  const has = (bit: number): boolean => (mask & bit) !== 0;
  if (has(STATMOUNT_SB_BASIC)) {
    status.device = { major: raw.deviceMajor, minor: raw.deviceMinor };
    status.magic = Number(raw.magic);
    status.superFlags = raw.superFlags;
  }
  if (has(STATMOUNT_MNT_BASIC)) {
    status.mount = {
      id: raw.mountId,
      parentId: raw.parentId,
      reusedId: raw.reusedId,
      reusedParentId: raw.reusedParentId,
      attributes: Number(raw.attributes),
      propagation: Number(raw.propagation),
      peerGroup: Number(raw.peerGroup),
      master: Number(raw.master),
    };
  }
  if (has(STATMOUNT_PROPAGATE_FROM)) status.propagateFrom = Number(raw.propagateFrom);
  if (has(STATMOUNT_MNT_NS_ID)) status.namespaceId = raw.namespaceId;
  for (const [bit, from, to] of STRINGS) {
    if (has(bit)) status[to] = stringsAt(strings, raw[from], 1)[0]!;
  }
  for (const [bit, { offset, count }, to] of LISTS) {
    if (has(bit)) status[to] = stringsAt(strings, raw[offset], raw[count]);
  }
  return status;
}

const STRINGS = [
  [STATMOUNT_MNT_ROOT, 'root', 'root'],
  [STATMOUNT_MNT_POINT, 'mountPoint', 'mountPoint'],
  [STATMOUNT_FS_TYPE, 'type', 'type'],
  [STATMOUNT_FS_SUBTYPE, 'subtype', 'subtype'],
  [STATMOUNT_SB_SOURCE, 'source', 'source'],
  [STATMOUNT_MNT_OPTS, 'options', 'options'],
] as const;

const LISTS = [
  [STATMOUNT_OPT_ARRAY, { offset: 'optionArray', count: 'optionCount' }, 'optionArray'],
  [
    STATMOUNT_OPT_SEC_ARRAY,
    { offset: 'securityOptionArray', count: 'securityOptionCount' },
    'securityOptions',
  ],
  [STATMOUNT_MNT_UIDMAP, { offset: 'uidMap', count: 'uidMapCount' }, 'uidMap'],
  [STATMOUNT_MNT_GIDMAP, { offset: 'gidMap', count: 'gidMapCount' }, 'gidMap'],
] as const;

const decoder = new TextDecoder();

function stringsAt(bytes: Uint8Array, offset: number, count: number): string[] {
  const result: string[] = [];
  let start = offset;
  while (result.length < count) {
    const end = bytes.indexOf(0, start);
    if (end < 0) {
      const message = `statmount: a string at ${start} of ${bytes.length} bytes does not end`;
      throw new StrataError('EINVAL', message, { errno: EINVAL, syscall: 'statmount' });
    }
    result.push(decoder.decode(bytes.subarray(start, end)));
    start = end + 1;
  }
  return result;
}
