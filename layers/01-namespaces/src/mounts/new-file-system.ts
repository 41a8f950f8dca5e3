/**
 * A new mount of a file system, in no namespace until move_mount(2) attaches it.
 *
 *   fsopen ─ fsconfig… ─ fsconfig(create) ─ fsmount ─▶ detached mount
 *
 * Calls are deferred where the executor defers: then all of it is one program of a stub.
 *
 * @see fsopen(2), fsconfig(2), fsmount(2)
 */
import { StrataError } from '../errors/strata-error.ts';
import type { Descriptor } from '../syscalls/memory.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

/** A parameter and its value: a flag has none. */
export type Parameter = readonly [key: string, value?: string | undefined];

export interface NewFileSystem {
  /** Of /proc/filesystems. */
  type: string;
  source?: string | undefined;
  parameters?: Iterable<Parameter>;
  /** MOUNT_ATTR_* bits of the mount. */
  attributes?: number;
}

/** Longest value fsconfig(2) takes for a string. */
export const FSCONFIG_LIMIT_BYTES = 255;

/**
 * Makes a file system and a detached mount of it.
 * @returns its descriptor; closing it before it is attached ends the mount
 * @throws {FileSystemError} what the file system says; ENODEV for a type the kernel does not know
 * @throws {StrataError} EINVAL for a value of more than 255 bytes
 */
export function newFileSystem(sys: Syscalls, fileSystem: NewFileSystem): Descriptor {
  const { type, source, parameters = [], attributes = 0 } = fileSystem;
  return inContext(sys, type, (context) => {
    if (source) sys.fsconfigSet(context, 'source', source);
    for (const [key, value] of parameters) setParameter(sys, context, [key, value]);
    sys.fsconfigCreate(context);
    return sys.fsmountLater(context, attributes);
  });
}

/** Calls with the configuration of a new file system, which is closed afterwards. */
export function inContext<T>(sys: Syscalls, type: string, action: (context: Descriptor) => T): T {
  const context = sys.fsopenLater(type);
  try {
    const result = action(context);
    if (typeof context !== 'number') sys.close(context);
    return result;
  } finally {
    // One that is still to be opened when something fails never will be.
    if (typeof context === 'number') sys.close(context);
  }
}

/** @throws {StrataError} EINVAL where the kernel would only say that it is wrong */
export function setParameter(sys: Syscalls, context: Descriptor, [key, value]: Parameter): void {
  if (value !== undefined && Buffer.byteLength(value) > FSCONFIG_LIMIT_BYTES) {
    const limit = `${FSCONFIG_LIMIT_BYTES} bytes`;
    throw new StrataError('EINVAL', `mount option ${key} is longer than ${limit}`);
  }
  sys.fsconfigSet(context, key, value);
}
