/**
 * The content store: blobs by digest, immutable, verified when they come in.
 *
 *   <root>/content/blobs/<algorithm>/<hex>   one file per blob: manifests, configurations, layers
 *   <root>/content/ingest/<random>           blobs that are being written
 *   <root>/content/partial/<name>            blobs that are being fetched, or were (partial-blob.ts)
 *
 * The directory below `content/` is that of an OCI image layout, so a blob can be hard-linked into
 * an exported layout as it is. Any number of processes may use a store at once: writing the same
 * blob twice gives the same file.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import {
  type BlobId,
  BlobWriter,
  type Expected,
  openLocked,
  removeStaleIngests,
} from './blob-writer.ts';
import {
  algorithmOf,
  DIGEST_ALGORITHMS,
  type Digest,
  digestFromHex,
  digestOf,
  isDigest,
  layoutPath,
} from './digest.ts';
import { openPartial, removePartials } from './partial-blob.ts';

export class ContentStore {
  readonly #content: string;
  readonly #ingest: string;
  readonly #partial: string;

  /** Opens (and where needed makes) the store below `root`, and removes what dead writers left. */
  constructor(root: string) {
    this.#content = join(root, 'content');
    this.#ingest = join(root, 'content', 'ingest');
    this.#partial = join(root, 'content', 'partial');
    for (const algorithm of DIGEST_ALGORITHMS) {
      mkdirSync(join(this.#content, 'blobs', algorithm), { recursive: true, mode: 0o700 });
    }
    mkdirSync(this.#ingest, { recursive: true, mode: 0o700 });
    mkdirSync(this.#partial, { recursive: true, mode: 0o700 });
    removeStaleIngests(this.#ingest);
    removePartials(this.#partial);
  }

  /** The file that holds a blob, whether it is there or not. */
  path(digest: Digest): string {
    return join(this.#content, layoutPath(digest));
  }

  has(digest: Digest): boolean {
    return statSync(this.path(digest), { throwIfNoEntry: false }) !== undefined;
  }

  /** The size in bytes, or undefined where the blob is not there. */
  size(digest: Digest): number | undefined {
    return statSync(this.path(digest), { throwIfNoEntry: false })?.size;
  }

  /**
   * Opens a blob for reading; the caller closes the descriptor.
   * @throws {StrataError} BLOB_NOT_FOUND
   */
  open(digest: Digest): number {
    try {
      return openSync(this.path(digest), constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (cause) {
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) throw cause;
      throw new StrataError('BLOB_NOT_FOUND', `blob ${digest} is not in the store`, {
        path: this.path(digest),
        cause,
      });
    }
  }

  /**
   * Reads a small blob and verifies it again: manifests and configurations decide what runs.
   * @param limit bytes; more are refused
   * @throws {StrataError} BLOB_NOT_FOUND, BLOB_TOO_LARGE, DIGEST_MISMATCH (the disk has changed it)
   */
  read(digest: Digest, limit: number): Buffer {
    const fd = this.open(digest);
    try {
      const { size } = fstatSync(fd);
      if (size > limit) {
        const message = `blob ${digest} has ${size} bytes, at most ${limit} are allowed here`;
        throw new StrataError('BLOB_TOO_LARGE', message, { path: this.path(digest) });
      }
      const bytes = readFileSync(fd);
      const found = digestOf(bytes, algorithmOf(digest));
      if (found === digest) return bytes;
      throw new StrataError('DIGEST_MISMATCH', `stored blob ${digest} now has ${found}`, {
        path: this.path(digest),
        hint: 'the file was changed after it had been stored: remove the image and pull it again',
      });
    } finally {
      closeSync(fd);
    }
  }

  /** Begins a blob; what is not committed is gone when the writer is disposed. */
  writer(expected: Expected = {}): BlobWriter {
    return new BlobWriter({ content: this.#content, file: openLocked(this.#ingest), expected });
  }

  /**
   * Goes on with a blob that is fetched in pieces: the writer begins after what is there already.
   * Waits while another process fetches the same.
   * @returns undefined where the blob has come
   */
  async resume(
    expected: { digest: Digest; size: number },
    signal?: AbortSignal,
  ): Promise<BlobWriter | undefined> {
    const { digest, size } = expected;
    const isThere = (): boolean => this.size(digest) === size;
    const file = await openPartial(this.#partial, digest, { size, isThere, signal });
    return file && new BlobWriter({ content: this.#content, file, expected });
  }

  /** Gives up all blobs that were not fetched to their end. @returns bytes */
  removePartials(): number {
    return removePartials(this.#partial, 0);
  }

  /** Stores bytes that are all there. */
  add(bytes: Uint8Array | string, expected: Expected = {}): BlobId {
    using writer = this.writer(expected);
    writer.write(typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
    return writer.commit();
  }

  /**
   * Stores a stream.
   * @throws {StrataError} SIZE_MISMATCH, DIGEST_MISMATCH, or what the stream throws; nothing is left
   */
  async ingest(chunks: AsyncIterable<Uint8Array>, expected: Expected = {}): Promise<BlobId> {
    using writer = this.writer(expected);
    for await (const chunk of chunks) writer.write(chunk);
    return writer.commit();
  }

  /** Removes a blob; false if it was not there. */
  remove(digest: Digest): boolean {
    if (!this.has(digest)) return false;
    unlinkSync(this.path(digest));
    return true;
  }

  /** Every blob that is there. */
  list(): Digest[] {
    return DIGEST_ALGORITHMS.flatMap((algorithm) =>
      readdirSync(join(this.#content, 'blobs', algorithm))
        .map((hex) => digestFromHex(hex, algorithm))
        .filter((digest) => isDigest(digest)),
    );
  }
}
