/**
 * Mount options as words, what they mean to the kernel.
 *
 *   attributes    of one mount: ro, nosuid, ...; with a leading r, of it and all mounts below
 *   propagation   shared, private, ...; with a leading r, recursively
 *   bind, rbind   a mount of something that is mounted already
 *   the rest      parameters of the file system: size=64k, mode=755; and of its superblock, which
 *                 fsconfig(2) takes as flags: sync, dirsync, lazytime, mand, and their opposites
 *
 * @see runtime-spec config.md#linux-mount-options, mount_setattr(2), mount(8)
 */
import {
  MOUNT_ATTR_ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_RELATIME,
  MOUNT_ATTR_STRICTATIME,
} from '../syscalls/constants.ts';
import { PROPAGATION_WORDS } from './propagation.ts';

export interface MountOptions {
  /** MOUNT_ATTR_* of the mount. */
  attrSet: number;
  attrClear: number;
  /** MOUNT_ATTR_* of the mount and all below it. */
  recursiveSet: number;
  recursiveClear: number;
  /** MS_SHARED and so on, perhaps with MS_REC, in their order. */
  propagation: number[];
  bind: boolean;
  recursiveBind: boolean;
  /** Copy what the image has at the place into a new tmpfs. */
  tmpcopyup: boolean;
  /** Give the mount an id map: of the container's user namespace, if no other is said. */
  idmap: boolean;
  /** And all mounts below it. */
  recursiveIdmap: boolean;
  /** Parameters of the file system. */
  data: string[];
}

interface Attribute {
  set?: number;
  clear?: number;
}

const ATTRIBUTES: Readonly<Record<string, Attribute>> = {
  ro: { set: MOUNT_ATTR_RDONLY },
  rw: { clear: MOUNT_ATTR_RDONLY },
  nosuid: { set: MOUNT_ATTR_NOSUID },
  suid: { clear: MOUNT_ATTR_NOSUID },
  nodev: { set: MOUNT_ATTR_NODEV },
  dev: { clear: MOUNT_ATTR_NODEV },
  noexec: { set: MOUNT_ATTR_NOEXEC },
  exec: { clear: MOUNT_ATTR_NOEXEC },
  nodiratime: { set: MOUNT_ATTR_NODIRATIME },
  diratime: { clear: MOUNT_ATTR_NODIRATIME },
  nosymfollow: { set: MOUNT_ATTR_NOSYMFOLLOW },
  symfollow: { clear: MOUNT_ATTR_NOSYMFOLLOW },
  // The three kinds of access time are values of one field, which has to be cleared to change it.
  noatime: { set: MOUNT_ATTR_NOATIME, clear: MOUNT_ATTR_ATIME },
  atime: { set: MOUNT_ATTR_RELATIME, clear: MOUNT_ATTR_ATIME },
  relatime: { set: MOUNT_ATTR_RELATIME, clear: MOUNT_ATTR_ATIME },
  norelatime: { set: MOUNT_ATTR_RELATIME, clear: MOUNT_ATTR_ATIME },
  strictatime: { set: MOUNT_ATTR_STRICTATIME, clear: MOUNT_ATTR_ATIME },
  nostrictatime: { set: MOUNT_ATTR_RELATIME, clear: MOUNT_ATTR_ATIME },
};

const SWITCHES: Readonly<Record<string, Partial<MountOptions>>> = {
  defaults: {},
  // Of fstab(5), for mount(8) itself and not for the kernel.
  auto: {},
  noauto: {},
  nofail: {},
  _netdev: {},
  // The new mount API has no remounting bind mounts: attributes are set by mount_setattr(2).
  remount: {},
  silent: {},
  loud: {},
  bind: { bind: true },
  rbind: { bind: true, recursiveBind: true },
  tmpcopyup: { tmpcopyup: true },
  idmap: { idmap: true },
  ridmap: { idmap: true, recursiveIdmap: true },
};

/** What fsconfig(2) takes as flags of a superblock, whatever the file system. */
const SUPERBLOCK_FLAGS = 'sync async dirsync lazytime nolazytime mand nomand'.split(' ');

/** All options that are no file system's own parameters, in alphabetical order. */
export function knownMountOptions(): string[] {
  const attributes = Object.keys(ATTRIBUTES);
  return [
    ...new Set([
      ...attributes,
      ...attributes.map((word) => `r${word}`),
      ...Object.keys(PROPAGATION_WORDS),
      ...Object.keys(SWITCHES),
      ...SUPERBLOCK_FLAGS,
    ]),
  ].sort();
}

const lookUp = <T>(table: Readonly<Record<string, T>>, word: string): T | undefined =>
  Object.hasOwn(table, word) ? table[word] : undefined;

/** Sorts options by their kind; of two that contradict each other the later one counts. */
export function parseMountOptions(options: readonly string[]): MountOptions {
  const result: MountOptions = {
    attrSet: 0,
    attrClear: 0,
    recursiveSet: 0,
    recursiveClear: 0,
    propagation: [],
    bind: false,
    recursiveBind: false,
    tmpcopyup: false,
    idmap: false,
    recursiveIdmap: false,
    data: [],
  };
  for (const option of options) sort(option, result);
  return result;
}

function sort(option: string, result: MountOptions): void {
  const own = lookUp(ATTRIBUTES, option);
  const recursive = option.startsWith('r') ? lookUp(ATTRIBUTES, option.slice(1)) : undefined;
  const propagation = lookUp(PROPAGATION_WORDS, option);
  const switched = lookUp(SWITCHES, option);
  if (own) {
    result.attrSet = applied(result.attrSet, own);
    result.attrClear = (result.attrClear & ~(own.set ?? 0)) | (own.clear ?? 0);
  } else if (recursive) {
    result.recursiveSet = applied(result.recursiveSet, recursive);
    result.recursiveClear =
      (result.recursiveClear & ~(recursive.set ?? 0)) | (recursive.clear ?? 0);
  } else if (propagation !== undefined) {
    result.propagation.push(propagation);
  } else if (switched) {
    Object.assign(result, switched);
  } else {
    result.data.push(option);
  }
}

const applied = (set: number, { set: more = 0, clear = 0 }: Attribute): number =>
  (set & ~clear) | more;
