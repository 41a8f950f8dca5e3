/**
 * Writes one blob: to a file in `ingest/` first, and under its digest when it is whole.
 *
 *   ingest/<random>   locked (flock) as long as its writer lives
 *        │ write ... write, hashing on the way
 *        ▼ commit: size and digest right? fsync, rename, fsync of the directory
 *   blobs/<algorithm>/<hex>
 *
 * A blob is thus there completely or not at all, whatever dies when. A writer that dies leaves an
 * unlocked file in `ingest/`, which `removeStaleIngests` takes away: the lock, not an age, says
 * that nobody is writing it any more.
 *
 * What comes from far away is written to `partial/<algorithm>-<hex>` instead: whoever wants the same
 * blob waits for the lock, and goes on where the last one ended. See partial-blob.ts.
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { LOCK_EX, LOCK_NB, localSyscalls, StrataError } from '@strata/namespaces';
import {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  digestFromHex,
  layoutPath,
} from './digest.ts';

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

/** An open, locked file, and what becomes of it where the blob is not committed. */
export interface WriterFile {
  path: string;
  fd: number;
  /** Left for the next one, unless what is in it is wrong. */
  keep?: boolean;
}

export class BlobWriter implements Disposable {
  readonly #content: string;
  readonly #expected: Expected;
  readonly #algorithm: DigestAlgorithm;
  readonly #hash: Hash;
  readonly #file: WriterFile;
  #size = 0;
  #open = true;
  #isWrong = false;

  constructor(options: { content: string; file: WriterFile; expected: Expected }) {
    const { digest } = options.expected;
    this.#content = options.content;
    this.#expected = options.expected;
    this.#algorithm = digest ? algorithmOf(digest) : 'sha256';
    this.#hash = createHash(this.#algorithm);
    this.#file = options.file;
    this.#takeIn();
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size;
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
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#file.fd, bytes, done);
  }

  /**
   * Makes the blob part of the store.
   * @param late what it is to be, where that was not known when it was begun
   * @throws {StrataError} SIZE_MISMATCH, DIGEST_MISMATCH; nothing is left once it is disposed
   */
  commit(late?: Digest): BlobId {
    const { digest: wanted = late, size } = this.#expected;
    if (size !== undefined && this.#size !== size) throw this.#wrongSize();
    const digest = this.#digest(wanted ? algorithmOf(wanted) : this.#algorithm);
    if (wanted !== undefined && digest !== wanted) {
      this.#isWrong = true;
      throw new StrataError('DIGEST_MISMATCH', `content of ${wanted} has the digest ${digest}`, {
        hint: 'what was received is not what was asked for: damaged on the way, or forged',
      });
    }
    fsyncSync(this.#file.fd);
    const path = join(this.#content, layoutPath(digest));
    renameSync(this.#file.path, path);
    this.#open = false;
    closeSync(this.#file.fd);
    syncDirectory(dirname(path));
    return { digest, size: this.#size };
  }

  /** Throws away what was not committed, or leaves it for the next one. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    if (!this.#file.keep || this.#isWrong || this.#size === 0) unlinkSync(this.#file.path);
    closeSync(this.#file.fd);
  }

  /** What an earlier writer has left in the file counts as written. */
  #takeIn(): void {
    const chunk = Buffer.allocUnsafe(1 << 18);
    for (let count = -1; count !== 0; this.#size += count) {
      count = readSync(this.#file.fd, chunk, 0, chunk.length, null);
      this.#hash.update(chunk.subarray(0, count));
    }
  }

  #digest(algorithm: DigestAlgorithm): Digest {
    if (algorithm === this.#algorithm) return digestFromHex(this.#hash.digest('hex'), algorithm);
    return digestFromHex(this.#hashAgain(algorithm), algorithm);
  }

  /** Of what is in the file: the algorithm was not known when it was written. */
  #hashAgain(algorithm: DigestAlgorithm): string {
    const hash = createHash(algorithm);
    const chunk = Buffer.allocUnsafe(1 << 18);
    for (let at = 0; at < this.#size; ) {
      const count = readSync(this.#file.fd, chunk, 0, chunk.length, at);
      if (count === 0) throw this.#wrongSize();
      hash.update(chunk.subarray(0, count));
      at += count;
    }
    return hash.digest('hex');
  }

  #wrongSize(): StrataError {
    this.#isWrong = this.#size > (this.#expected.size ?? this.#size);
    const { digest, size } = this.#expected;
    const found = this.#size > size! ? `more than the ${size}` : `${this.#size} of the ${size}`;
    const message = `${digest ?? 'the blob'} has ${found} bytes that were announced`;
    return new StrataError('SIZE_MISMATCH', message);
  }
}

/** A new file in `ingest/`. */
export function openLocked(directory: string): WriterFile {
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
