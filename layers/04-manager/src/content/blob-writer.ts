/**
 * Writes one blob: to a file in `ingest/` first, and under its digest when it is whole.
 *
 *   ingest/<random>   locked (flock) as long as its writer lives
 *        │ write ... write, hashing on the way
 *        ▼ commit: size and digest right? fsync, rename, fsync of the directory
 *   blobs/sha256/<hex>
 *
 * A blob is thus there completely or not at all, whatever dies when. A writer that dies leaves an
 * unlocked file in `ingest/`, which `removeStaleIngests` takes away: the lock, not an age, says
 * that nobody is writing it any more.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { LOCK_EX, LOCK_NB, localSyscalls, StrataError } from '@strata/namespaces';
import { type Digest, digestFromHex, digestHex } from './digest.ts';

/** What a blob is supposed to be. */
export interface Expected {
  digest?: Digest | undefined;
  /** Bytes. */
  size?: number | undefined;
}

export interface BlobId {
  digest: Digest;
  /** Bytes. */
  size: number;
}

const WRITE_NEW = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export class BlobWriter implements Disposable {
  readonly #blobDirectory: string;
  readonly #expected: Expected;
  readonly #hash = createHash('sha256');
  readonly #path: string;
  readonly #fd: number;
  #size = 0;
  #open = true;

  constructor(options: { blobs: string; ingest: string; expected: Expected }) {
    this.#blobDirectory = options.blobs;
    this.#expected = options.expected;
    const { path, fd } = openLocked(options.ingest);
    this.#path = path;
    this.#fd = fd;
  }

  /**
   * Appends bytes.
   * @throws {StrataError} SIZE_MISMATCH as soon as there are more than expected
   */
  write(bytes: Uint8Array): void {
    this.#size += bytes.length;
    if (this.#expected.size !== undefined && this.#size > this.#expected.size) {
      throw this.#wrongSize();
    }
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
  }

  /**
   * Makes the blob part of the store.
   * @throws {StrataError} SIZE_MISMATCH, DIGEST_MISMATCH; nothing is left then
   */
  commit(): BlobId {
    const { digest: wanted, size } = this.#expected;
    if (size !== undefined && this.#size !== size) throw this.#wrongSize();
    const digest = digestFromHex(this.#hash.digest('hex'));
    if (wanted !== undefined && digest !== wanted) {
      throw new StrataError('DIGEST_MISMATCH', `content of ${wanted} has the digest ${digest}`, {
        hint: 'what was received is not what was asked for: damaged on the way, or forged',
      });
    }
    fsyncSync(this.#fd);
    renameSync(this.#path, join(this.#blobDirectory, digestHex(digest)));
    this.#open = false;
    closeSync(this.#fd);
    syncDirectory(this.#blobDirectory);
    return { digest, size: this.#size };
  }

  /** Throws away what was not committed. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    unlinkSync(this.#path);
    closeSync(this.#fd);
  }

  #wrongSize(): StrataError {
    const { digest, size } = this.#expected;
    const found = this.#size > size! ? `more than the ${size}` : `${this.#size} of the ${size}`;
    const message = `${digest ?? 'the blob'} has ${found} bytes that were announced`;
    return new StrataError('SIZE_MISMATCH', message);
  }
}

function openLocked(directory: string): { path: string; fd: number } {
  for (;;) {
    const path = join(directory, randomBytes(12).toString('hex'));
    const fd = openSync(path, WRITE_NEW, 0o600);
    const locked = localSyscalls().flock(fd, LOCK_EX | LOCK_NB);
    // Between open and lock, another process may have taken the file for a dead writer's.
    if (locked && fstatSync(fd).nlink === 1) return { path, fd };
    closeSync(fd);
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Removes what writers left that have died; returns how many files that were. */
export function removeStaleIngests(directory: string): number {
  let removed = 0;
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const fd = openExisting(path);
    if (fd === undefined) continue;
    try {
      if (!localSyscalls().flock(fd, LOCK_EX | LOCK_NB)) continue;
      if (fstatSync(fd).nlink === 0) continue;
      unlinkSync(path);
      removed += 1;
    } finally {
      closeSync(fd);
    }
  }
  return removed;
}

/** Undefined where the file has been committed or removed since the directory was read. */
function openExisting(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
