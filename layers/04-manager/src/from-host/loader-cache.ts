/**
 * The dynamic loader's cache: library names and the files they stand for.
 *
 *   0   "glibc-ld.so.cache1.1"   20 bytes
 *   20  number of entries        u32
 *   48  entries of 24 bytes:     flags i32, name u32, path u32, osversion u32, hwcap u64
 *       strings, NUL-terminated, at offsets from the start
 *
 * @see ldconfig(8); glibc's elf/cache.c describes the format
 */
import { readFileSync } from 'node:fs';

const MAGIC = 'glibc-ld.so.cache1.1';
const HEADER_BYTES = 48;
const ENTRY_BYTES = 24;

/** Paths by library name, in the loader's order; empty where there is no cache (musl, a bare root). */
export function readLoaderCache(path = '/etc/ld.so.cache'): Map<string, string[]> {
  const libraries = new Map<string, string[]>();
  const bytes = readIfThere(path);
  // Older files have a table of libc5 times in front.
  const start = bytes?.indexOf(MAGIC) ?? -1;
  if (!bytes || start < 0) return libraries;
  const cache = bytes.subarray(start);
  const count = cache.length >= HEADER_BYTES ? cache.readUInt32LE(20) : 0;
  for (let index = 0; index < count; index += 1) {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    if (at + ENTRY_BYTES > cache.length) break;
    // Entries with a hwcap are for newer processors than the one that may run the image.
    if (cache.readBigUInt64LE(at + 16) !== 0n) continue;
    const name = textAt(cache, cache.readUInt32LE(at + 4));
    const file = textAt(cache, cache.readUInt32LE(at + 8));
    libraries.set(name, [...(libraries.get(name) ?? []), file]);
  }
  return libraries;
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function textAt(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString('utf8', at, end < 0 ? bytes.length : end);
}
