/**
 * The archive that the kernel unpacks as its first file system.
 *
 *   070701 ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
 *   name NUL, padded to 4 ─ content, padded to 4 ─ ... ─ an entry named TRAILER!!!
 *
 * Numbers are eight hexadecimal digits.
 *
 * @see cpio(5), "New ASCII Format"; Documentation/driver-api/early-userspace/buffer-format.rst
 */
import { constants } from 'node:fs';

export interface CpioEntry {
  /** Without a leading slash; directories come before what is in them. */
  name: string;
  /** Neither this nor a target: a directory. */
  content?: Uint8Array;
  executable?: boolean;
  /** Of a symbolic link. */
  target?: string;
}

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';

/** The archive of the entries, all of them root's. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => cpioEntry(entry, index + 1));
  return Buffer.concat([...parts, ...cpioEntry({ name: TRAILER, content: Buffer.alloc(0) }, 0)]);
}

function cpioEntry(entry: CpioEntry, inode: number): Uint8Array[] {
  const { name, target } = entry;
  const content = target === undefined ? (entry.content ?? Buffer.alloc(0)) : Buffer.from(target);
  const nameSize = Buffer.byteLength(name) + 1;
  const fields = [inode, modeOf(entry), 0, 0, 1, 0, content.length, 0, 0, 0, 0, nameSize, 0];
  const header = MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return [padded(Buffer.from(`${header}${name}\0`)), padded(content)];
}

function modeOf({ content, executable, target }: CpioEntry): number {
  if (target !== undefined) return constants.S_IFLNK | 0o777;
  if (content) return constants.S_IFREG | (executable ? 0o755 : 0o644);
  return constants.S_IFDIR | 0o755;
}

/** The bytes, and zeros up to the next multiple of four. */
function padded(bytes: Uint8Array): Uint8Array {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}
