/** A tmpfs: files in memory, gone with their last mount. @see tmpfs(5) */
import type { Descriptor } from '../syscalls/memory.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import { newFileSystem, type Parameter } from './new-file-system.ts';

export interface TmpfsOptions {
  /** Shown as what is mounted. */
  source?: string;
  /** Default: half of the machine's memory. Rounded up to whole pages; 0 for no limit. */
  sizeBytes?: number;
  /** Default: one for each page of half the memory; 0 for no limit. */
  inodes?: number;
  /** Of its root; default 0o1777. */
  mode?: number;
  uid?: number;
  gid?: number;
  /** MOUNT_ATTR_* bits of the mount. */
  attributes?: number;
}

/**
 * Makes a detached tmpfs.
 * @throws {FileSystemError} EINVAL for ids that the user namespace does not have
 */
export function newTmpfs(sys: Syscalls, options: TmpfsOptions = {}): Descriptor {
  const { source = 'tmpfs', sizeBytes, inodes, mode, uid, gid, attributes = 0 } = options;
  const values = {
    size: sizeBytes?.toString(),
    nr_inodes: inodes?.toString(),
    mode: mode?.toString(8),
    uid: uid?.toString(),
    gid: gid?.toString(),
  };
  const parameters: Parameter[] = Object.entries(values).filter(([, value]) => value !== undefined);
  return newFileSystem(sys, { type: 'tmpfs', source, parameters, attributes });
}
