/** Mounts: the descriptor-based interface of Linux 5.2 and what of the older one is still needed. */

import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  OPEN_TREE_CLOEXEC,
} from './constants.ts';
import { FileCalls } from './file-calls.ts';
import type { Descriptor } from './memory.ts';

/** What mount_setattr(2) changes. All are MOUNT_ATTR_* bits but `propagation` (MS_*). */
export interface MountAttributes {
  set?: number;
  clear?: number;
  propagation?: number;
  /** A user namespace whose id map the mount shall have (with MOUNT_ATTR_IDMAP). */
  usernsFd?: number;
}

const MOUNT_ATTR_BYTES = 32;

export class MountCalls extends FileCalls {
  /** Opens a new superblock configuration. @see fsopen(2) */
  fsopen(type: string): number {
    return this.call('fsopen', type, FSOPEN_CLOEXEC);
  }

  /** As `fsopen`, for a descriptor that only later calls use. @see Caller.later */
  fsopenLater(type: string): Descriptor {
    return this.later('fsopen', [type, FSOPEN_CLOEXEC]);
  }

  /** Sets a parameter: a flag without a value, a string otherwise. @see fsconfig(2) */
  fsconfigSet(fd: Descriptor, key: string, value?: string): void {
    if (value === undefined) this.order('fsconfig', fd, FSCONFIG_SET_FLAG, key, null, 0);
    else this.order('fsconfig', fd, FSCONFIG_SET_STRING, key, value, 0);
  }

  /** Creates the superblock. @see fsconfig(2) */
  fsconfigCreate(fd: Descriptor): void {
    this.order('fsconfig', fd, FSCONFIG_CMD_CREATE, null, null, 0);
  }

  /** A detached mount of a configured superblock. @see fsmount(2) */
  fsmount(fd: number, attributes: number): number {
    return this.call('fsmount', fd, FSMOUNT_CLOEXEC, attributes);
  }

  /** As `fsmount`, for a descriptor that only later calls use. @see Caller.later */
  fsmountLater(fd: Descriptor, attributes: number): Descriptor {
    return this.later('fsmount', [fd, FSMOUNT_CLOEXEC, attributes]);
  }

  /** Attaches the mount `fd` to the place that `targetFd` refers to. @see move_mount(2) */
  moveMount(fd: Descriptor, targetFd: Descriptor): void {
    const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    this.order('move_mount', fd, '', targetFd, '', flags);
  }

  /** A descriptor of the tree at `path`; with OPEN_TREE_CLONE a detached copy. @see open_tree(2) */
  openTree(dirfd: number, path: string, flags: number): number {
    return this.call('open_tree', dirfd, path, flags | OPEN_TREE_CLOEXEC);
  }

  /** As `openTree`, for a descriptor that only later calls use. @see Caller.later */
  openTreeLater(dirfd: Descriptor, path: string, flags: number): Descriptor {
    return this.later('open_tree', [dirfd, path, flags | OPEN_TREE_CLOEXEC]);
  }

  /** Changes a mount by descriptor; `flags` may be AT_RECURSIVE. @see mount_setattr(2) */
  mountSetattr(fd: Descriptor, attributes: MountAttributes, flags = 0): void {
    const bytes = new Uint8Array(MOUNT_ATTR_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, attributes.set ?? 0, true);
    view.setUint32(8, attributes.clear ?? 0, true);
    view.setUint32(16, attributes.propagation ?? 0, true);
    view.setUint32(24, attributes.usernsFd ?? 0, true);
    this.order('mount_setattr', fd, '', flags | AT_EMPTY_PATH, bytes, MOUNT_ATTR_BYTES);
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
