/** Mounts: the descriptor-based interface of Linux 5.2 and what of the older one is still needed. */

import { ENODATA } from '../errors/errno.ts';
import { FileSystemError, type FileSystemMessage } from '../errors/syscall-error.ts';
import { syscallFailure } from './caller.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  FSCONFIG_CMD_CREATE,
  FSCONFIG_CMD_CREATE_EXCL,
  FSCONFIG_CMD_RECONFIGURE,
  FSCONFIG_SET_BINARY,
  FSCONFIG_SET_FD,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_PATH,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  FSPICK_CLOEXEC,
  FSPICK_EMPTY_PATH,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  OPEN_TREE_CLOEXEC,
} from './constants.ts';
import type { DeferredCall } from './executor.ts';
import { FileCalls } from './file-calls.ts';
import { type Arg, type Descriptor, Out } from './memory.ts';
import { structLayout } from './struct-layout.ts';

/** What mount_setattr(2) changes. All are MOUNT_ATTR_* bits but `propagation` (MS_*). */
export interface MountAttributes {
  set?: number;
  clear?: number;
  propagation?: number;
  /** A user namespace whose id map the mount shall have (with MOUNT_ATTR_IDMAP). */
  usernsFd?: number;
}

const MOUNT_ATTR = structLayout(32, {
  attrSet: 'u64',
  attrClear: 'u64',
  propagation: 'u64',
  usernsFd: 'u64',
});

const LEVELS: Readonly<Record<string, FileSystemMessage['level']>> = {
  e: 'error',
  w: 'warning',
  i: 'info',
};
/** Of one message. The kernel keeps up to eight of them. */
const MESSAGE_BYTES = 4096;
const MOST_MESSAGES = 32;

export class MountCalls extends FileCalls {
  /** Opens a new superblock configuration. @see fsopen(2) */
  fsopen(type: string): number {
    return this.call('fsopen', type, FSOPEN_CLOEXEC);
  }

  /** As `fsopen`, for a descriptor that only later calls use. @see Caller.later */
  fsopenLater(type: string): Descriptor {
    return this.later('fsopen', [type, FSOPEN_CLOEXEC]);
  }

  /**
   * Opens the configuration of a mounted superblock, for `fsconfigReconfigure`.
   * @param path relative to `dirfd`; '' for the mount that `dirfd` itself refers to
   * @see fspick(2)
   */
  fspick(dirfd: Descriptor, path = '', flags = 0): number {
    const here = path === '' ? FSPICK_EMPTY_PATH : 0;
    return this.call('fspick', dirfd, path, flags | here | FSPICK_CLOEXEC);
  }

  /**
   * Sets a parameter: a flag without a value, a string otherwise.
   * @throws {FileSystemError} EINVAL with what the file system says of it
   * @see fsconfig(2)
   */
  fsconfigSet(fd: Descriptor, key: string, value?: string): void {
    if (value === undefined) this.#configure(fd, FSCONFIG_SET_FLAG, key, null, 0);
    else this.#configure(fd, FSCONFIG_SET_STRING, key, value, 0);
  }

  /** Sets a parameter to bytes as they are. @see fsconfig(2) */
  fsconfigSetBinary(fd: Descriptor, key: string, value: Uint8Array): void {
    this.#configure(fd, FSCONFIG_SET_BINARY, key, value, value.length);
  }

  /** Sets a parameter to a file, by its path. @see fsconfig(2) */
  fsconfigSetPath(fd: Descriptor, key: string, path: string, dirfd: Descriptor = AT_FDCWD): void {
    this.#configure(fd, FSCONFIG_SET_PATH, key, path, dirfd);
  }

  /** Sets a parameter to a file that is open. @see fsconfig(2) */
  fsconfigSetFd(fd: Descriptor, key: string, value: Descriptor): void {
    this.#configure(fd, FSCONFIG_SET_FD, key, null, value);
  }

  /** Creates the superblock. @throws {FileSystemError} @see fsconfig(2) */
  fsconfigCreate(fd: Descriptor): void {
    this.#configure(fd, FSCONFIG_CMD_CREATE, null, null, 0);
  }

  /**
   * Creates a superblock that nobody else has (Linux 6.6): without it, the kernel may hand out one
   * that is mounted already, with the other's parameters.
   * @throws {SyscallError} EBUSY where there is one, EOPNOTSUPP on older kernels
   */
  fsconfigCreateExclusive(fd: Descriptor): void {
    this.#configure(fd, FSCONFIG_CMD_CREATE_EXCL, null, null, 0);
  }

  /** Applies the parameters to the superblock that `fspick` opened. @see fsconfig(2) */
  fsconfigReconfigure(fd: Descriptor): void {
    this.#configure(fd, FSCONFIG_CMD_RECONFIGURE, null, null, 0);
  }

  /** What the file system has said since this was last called. @see fsopen(2) */
  fileSystemMessages(fd: number): FileSystemMessage[] {
    const messages: FileSystemMessage[] = [];
    while (messages.length < MOST_MESSAGES) {
      const out = new Out(new Uint8Array(MESSAGE_BYTES));
      const length = this.attempt('read', fd, out, MESSAGE_BYTES);
      if (length === -ENODATA || length === 0) break;
      if (length < 0) throw this.failure('read', -length, [fd]);
      const line = new TextDecoder().decode(out.bytes.subarray(0, length)).trimEnd();
      messages.push({ level: LEVELS[line[0]!] ?? 'info', text: line.slice(2) });
    }
    return messages;
  }

  #configure(fd: Descriptor, ...rest: readonly Arg[]): void {
    const args = [fd, ...rest];
    this.later('fsconfig', args, this.#explained(this.described('fsconfig', args), fd));
  }

  /** Has a call that fails tell what the file system says. */
  #explained(call: DeferredCall, fd: Descriptor): Pick<DeferredCall, 'recover'> {
    return {
      recover: (errno) => {
        const error = syscallFailure(call, errno);
        const context = typeof fd === 'number' ? fd : fd.value!;
        const messages = this.#messagesOfFailed(context);
        throw messages.length === 0 ? error : new FileSystemError(error, messages);
      },
    };
  }

  #messagesOfFailed(context: number): FileSystemMessage[] {
    // A recording has no kernel that would say something, and bad descriptors say nothing either.
    if (this.executor.kind === 'recording') return [];
    try {
      return this.fileSystemMessages(context);
    } catch {
      return [];
    }
  }

  /** A detached mount of a configured superblock. @throws {FileSystemError} @see fsmount(2) */
  fsmount(fd: number, attributes: number): number {
    const args = [fd, FSMOUNT_CLOEXEC, attributes];
    const result = this.attempt('fsmount', ...args);
    if (result >= 0) return result;
    return this.#explained(this.described('fsmount', args), fd).recover!(-result);
  }

  /** As `fsmount`, for a descriptor that only later calls use. @see Caller.later */
  fsmountLater(fd: Descriptor, attributes: number): Descriptor {
    const args = [fd, FSMOUNT_CLOEXEC, attributes];
    const explained = this.#explained(this.described('fsmount', args), fd);
    return this.later('fsmount', args, explained);
  }

  /**
   * Attaches the mount `fd` to the place that `targetFd` refers to, both by descriptor alone.
   *
   * @param flags MOVE_MOUNT_BENEATH puts it below the mount that is there (Linux 6.5);
   *   MOVE_MOUNT_SET_GROUP moves nothing and makes the mount `targetFd` a member of the peer group
   *   of `fd` (Linux 5.15)
   * @throws {SyscallError} EINVAL where it cannot be attached there
   * @see move_mount(2)
   */
  moveMount(fd: Descriptor, targetFd: Descriptor, flags = 0): void {
    const byDescriptor = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    this.order('move_mount', fd, '', targetFd, '', flags | byDescriptor);
  }

  /**
   * A descriptor of the tree at `path`; with OPEN_TREE_CLONE a detached copy of the mount, and with
   * AT_RECURSIVE of those below it.
   * @see open_tree(2)
   */
  openTree(dirfd: number, path: string, flags: number): number {
    return this.call('open_tree', dirfd, path, flags | OPEN_TREE_CLOEXEC);
  }

  /** As `openTree`, for a descriptor that only later calls use. @see Caller.later */
  openTreeLater(dirfd: Descriptor, path: string, flags: number): Descriptor {
    return this.later('open_tree', [dirfd, path, flags | OPEN_TREE_CLOEXEC]);
  }

  /**
   * `openTree` and `mountSetattr` in one (Linux 6.15): the only way to change the id map of a copy
   * of a mount that has one.
   * @see open_tree_attr(2)
   */
  openTreeAttr(dirfd: number, path: string, flags: number, attributes: MountAttributes): number {
    const bytes = mountAttr(attributes);
    const all = flags | OPEN_TREE_CLOEXEC;
    return this.call('open_tree_attr', dirfd, path, all, bytes, bytes.length);
  }

  /**
   * Changes a mount by descriptor; with AT_RECURSIVE in `flags` those below it as well, all of them
   * or none.
   * @throws {SyscallError} EPERM for what a more privileged namespace has locked, EINVAL, EBUSY
   *   where a mount that shall be read-only is being written to
   * @see mount_setattr(2)
   */
  mountSetattr(fd: Descriptor, attributes: MountAttributes, flags = 0): void {
    const bytes = mountAttr(attributes);
    this.order('mount_setattr', fd, '', flags | AT_EMPTY_PATH, bytes, bytes.length);
  }

  /** The classic call: for propagation changes, remounts and what has no newer form. @see mount(2) */
  mount(options: {
    source?: string;
    target: string;
    type?: string;
    flags?: number;
    data?: string;
  }): void {
    const { source, target, type, flags, data } = options;
    this.order('mount', source ?? null, target, type ?? null, flags ?? 0, data ?? null);
  }

  /** @see umount2(2) */
  umount(target: string, flags = 0): void {
    this.order('umount2', target, flags);
  }

  /** @see pivot_root(2) */
  pivotRoot(newRoot: string, putOld: string): void {
    this.order('pivot_root', newRoot, putOld);
  }

  /** @see chdir(2) */
  chdir(path: string): void {
    this.order('chdir', path);
  }

  /** @see fchdir(2) */
  fchdir(fd: Descriptor): void {
    this.order('fchdir', fd);
  }

  /** @see chroot(2) */
  chroot(path: string): void {
    this.order('chroot', path);
  }

  /** Opens a directory of the executing process's own view, for use as an anchor. */
  openDirectory(path: string, flags: number): number {
    return this.openat2(path, { dirfd: AT_FDCWD, flags });
  }
}

function mountAttr(attributes: MountAttributes): Uint8Array {
  const { set = 0, clear = 0, propagation = 0, usernsFd = 0 } = attributes;
  return MOUNT_ATTR.pack({
    attrSet: BigInt(set),
    attrClear: BigInt(clear),
    propagation: BigInt(propagation),
    usernsFd: BigInt(usernsFd),
  });
}
