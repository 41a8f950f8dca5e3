/**
 * Blobs that come from far away, in pieces if need be.
 *
 *   partial/<algorithm>-<hex>    locked by whoever fetches it; what is in it is the blob's beginning
 *
 *   the lock is free      take it, and go on after what is there
 *   the lock is taken     somebody fetches it: wait, then look whether the blob is there
 *
 * So a pull that is killed loses nothing, and two that want the same layer fetch it once. What nobody
 * has gone on with for a week goes.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOCK_EX, LOCK_NB, localSyscalls } from '@strata/namespaces';
import type { WriterFile } from './blob-writer.ts';
import { algorithmOf, type Digest, digestHex } from './digest.ts';

const OPEN = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
const POLL_MS = 50;
const KEEP_MS = 7 * 24 * 3_600_000;

/**
 * Opens the file of a blob that is to be fetched.
 * @param options.size bytes of the whole; a file that has more is not its beginning
 * @param options.isThere whether the blob has come meanwhile
 * @returns undefined where it has
 */
export async function openPartial(
  directory: string,
  digest: Digest,
  options: { size: number; isThere: () => boolean; signal?: AbortSignal | undefined },
): Promise<WriterFile | undefined> {
  const path = join(directory, `${algorithmOf(digest)}-${digestHex(digest)}`);
  while (!options.isThere()) {
    const fd = lockFile(path);
    if (fd === undefined) {
      await sleep(POLL_MS, undefined, { signal: options.signal }).catch(() => {
        throw options.signal?.reason;
      });
    } else if (options.isThere()) {
      // Committed by another process between the question and the lock: our file is a new one.
      unlinkSync(path);
      closeSync(fd);
    } else {
      if (fstatSync(fd).size > options.size) ftruncateSync(fd);
      return { path, fd, keep: true };
    }
  }
  return undefined;
}

function lockFile(path: string): number | undefined {
  const fd = openSync(path, OPEN, 0o600);
  const isLocked = localSyscalls().flock(fd, LOCK_EX | LOCK_NB);
  // It may have become the blob, or been removed, between open and lock.
  if (isLocked && fstatSync(fd).nlink === 1 && isFileAt(path, fd)) return fd;
  closeSync(fd);
  return undefined;
}

function isFileAt(path: string, fd: number): boolean {
  try {
    const other = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return fstatSync(other).ino === fstatSync(fd).ino;
    } finally {
      closeSync(other);
    }
  } catch {
    return false;
  }
}

/** Removes what nobody is fetching, and nobody has for `olderThan` milliseconds. @returns how many bytes */
export function removePartials(directory: string, olderThan = KEEP_MS): number {
  let bytes = 0;
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const fd = lockFile(path);
    if (fd === undefined) continue;
    const { mtimeMs, size } = fstatSync(fd);
    if (Date.now() - mtimeMs >= olderThan) {
      unlinkSync(path);
      bytes += size;
    }
    closeSync(fd);
  }
  return bytes;
}
