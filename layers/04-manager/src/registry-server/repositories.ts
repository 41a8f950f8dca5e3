/**
 * What a registry keeps: content by digest, and which repository has what of it.
 *
 *   <directory>/content/        a content store (blobs and manifests alike)
 *   <directory>/registry.db     repositories
 *   <directory>/lock            held by the one server that uses the directory
 *
 * Content comes before the row that names it and goes after it. So a server that is killed leaves at
 * worst content that nobody names, which the next start removes; a row never lacks its content.
 */
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { LOCK_EX, LOCK_NB, localSyscalls, StrataError } from '@strata/namespaces';
import type { BlobWriter } from '../content/blob-writer.ts';
import { ContentStore } from '../content/content-store.ts';
import { algorithmOf, type Digest, digestOf } from '../content/digest.ts';
import type { Descriptor } from '../images/descriptor.ts';
import type { ManifestFacts } from '../images/manifest-facts.ts';
import { openState, type StateDatabase } from '../state/state-database.ts';
import { failure } from './registry-failure.ts';
import { REGISTRY_MIGRATIONS } from './repository-schema.ts';
import type { ManifestReference } from './route.ts';

export interface Page {
  /** At most so many. */
  limit: number;
  /** Those after this one. */
  after: string | undefined;
}

interface ManifestRow {
  digest: Digest;
  media_type: string;
  size: number;
  artifact_type: string | null;
  annotations: string;
}

const KNOWN = [
  'SELECT repository FROM blobs WHERE repository = ?1',
  'SELECT repository FROM manifests WHERE repository = ?1 LIMIT 1',
].join(' UNION ');

export class Repositories implements Disposable {
  readonly #content: ContentStore;
  readonly #state: StateDatabase;
  readonly #lockFd: number;

  /** @throws {StrataError} REGISTRY_IN_USE where another server has the directory */
  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#lockFd = lockDirectory(directory);
    try {
      this.#content = new ContentStore(directory);
      this.#state = openState(join(directory, 'registry.db'), REGISTRY_MIGRATIONS);
    } catch (error) {
      closeSync(this.#lockFd);
      throw error;
    }
    for (const digest of this.#content.list()) this.#removeUnnamed(digest);
  }

  [Symbol.dispose](): void {
    this.#state.close();
    closeSync(this.#lockFd);
  }

  /** Begins a blob, whose digest comes later. */
  writer(): BlobWriter {
    return this.#content.writer();
  }

  /** @throws {StrataError} DIGEST_MISMATCH */
  commitBlob(name: string, writer: BlobWriter, digest: Digest): void {
    writer.commit(digest);
    this.#state.run('INSERT OR IGNORE INTO blobs VALUES (?, ?)', name, digest);
  }

  /**
   * Gives a repository a blob that another one has.
   * @param from undefined: any
   * @returns false where it is not there
   */
  mountBlob(name: string, digest: Digest, from: string | undefined): boolean {
    const source = this.#state.get(
      'SELECT 1 FROM blobs WHERE digest = ?1 AND (?2 IS NULL OR repository = ?2)',
      digest,
      from ?? null,
    );
    if (source) this.#state.run('INSERT OR IGNORE INTO blobs VALUES (?, ?)', name, digest);
    return source !== undefined;
  }

  hasBlob(name: string, digest: Digest): boolean {
    const sql = 'SELECT 1 FROM blobs WHERE repository = ? AND digest = ?';
    return this.#state.get(sql, name, digest) !== undefined;
  }

  /** Bytes. @throws {StrataError} BLOB_UNKNOWN */
  blobSize(name: string, digest: Digest): number {
    const size = this.hasBlob(name, digest) ? this.#content.size(digest) : undefined;
    if (size !== undefined) return size;
    throw failure('BLOB_UNKNOWN', `${name} has no blob ${digest}`);
  }

  /** Opens a blob; the caller closes it. */
  openBlob(digest: Digest): number {
    return this.#content.open(digest);
  }

  /** @throws {StrataError} BLOB_UNKNOWN */
  removeBlob(name: string, digest: Digest): void {
    const sql = 'DELETE FROM blobs WHERE repository = ? AND digest = ?';
    const removed = this.#state.run(sql, name, digest);
    if (removed === 0) throw failure('BLOB_UNKNOWN', `${name} has no blob ${digest}`);
    this.#removeUnnamed(digest);
  }

  /**
   * Stores a manifest and lets tags stand for it.
   * @throws {StrataError} MANIFEST_BLOB_UNKNOWN, DIGEST_MISMATCH
   */
  putManifest(
    name: string,
    bytes: Uint8Array,
    given: { facts: ManifestFacts; digest: Digest | undefined; tags: readonly string[] },
  ): Digest {
    const { facts, tags } = given;
    this.#requireParts(name, facts);
    const digest = digestOf(bytes, given.digest ? algorithmOf(given.digest) : 'sha256');
    if (given.digest && given.digest !== digest) {
      throw failure('DIGEST_INVALID', `the manifest has the digest ${digest}, not ${given.digest}`);
    }
    this.#content.add(bytes, { digest });
    this.#state.transaction(() => {
      this.#state.run(
        `INSERT INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET media_type = excluded.media_type`,
        name,
        digest,
        facts.mediaType,
        bytes.length,
        facts.subject ?? null,
        facts.artifactType ?? null,
        JSON.stringify(facts.annotations),
      );
      const sql = 'INSERT OR REPLACE INTO tags VALUES (?, ?, ?)';
      for (const tag of tags) this.#state.run(sql, name, tag, digest);
    });
    return digest;
  }

  #requireParts(name: string, { blobs, manifests }: ManifestFacts): void {
    const blob = blobs.find(({ digest }) => !this.hasBlob(name, digest));
    const manifest = manifests.find((part) => !this.#manifestRow(name, part));
    const missing = blob ?? manifest;
    if (!missing) return;
    const what = `${blob ? 'blob' : 'manifest'} ${missing.digest}`;
    throw failure('MANIFEST_BLOB_UNKNOWN', `${name} has no ${what}: push it first`);
  }

  /** @throws {StrataError} MANIFEST_UNKNOWN */
  manifest(name: string, reference: ManifestReference): Descriptor {
    const row = this.#manifestRow(name, reference);
    if (row) return { digest: row.digest, mediaType: row.media_type, size: row.size };
    throw unknownManifest(name, reference);
  }

  /** Of what `manifest` has found. */
  manifestBytes({ digest, size }: Descriptor): Buffer {
    return this.#content.read(digest, size);
  }

  #manifestRow(name: string, reference: ManifestReference): ManifestRow | undefined {
    if ('digest' in reference) {
      const sql = 'SELECT * FROM manifests WHERE repository = ? AND digest = ?';
      return this.#state.get<ManifestRow>(sql, name, reference.digest);
    }
    const sql = `SELECT manifests.* FROM tags NATURAL JOIN manifests
                 WHERE tags.repository = ? AND tag = ?`;
    return this.#state.get<ManifestRow>(sql, name, reference.tag);
  }

  /** By a tag: the tag alone; by a digest: the manifest, and all tags that stand for it. */
  removeManifest(name: string, reference: ManifestReference): void {
    const removed =
      'tag' in reference
        ? this.#state.run('DELETE FROM tags WHERE repository = ? AND tag = ?', name, reference.tag)
        : this.#state.run(
            'DELETE FROM manifests WHERE repository = ? AND digest = ?',
            name,
            reference.digest,
          );
    if (removed === 0) throw unknownManifest(name, reference);
    if ('digest' in reference) this.#removeUnnamed(reference.digest);
  }

  /** In the specification's order: alphanumeric, whatever the case. @throws {StrataError} NAME_UNKNOWN */
  tags(name: string, { limit, after }: Page): string[] {
    if (!this.#state.get(KNOWN, name)) {
      throw failure('NAME_UNKNOWN', `there is no repository ${name}`);
    }
    const sql = `SELECT tag FROM tags WHERE repository = ?1
                 AND (?2 IS NULL OR (lower(tag), tag) > (lower(?2), ?2))
                 ORDER BY lower(tag), tag LIMIT ?3`;
    return this.#state.all<{ tag: string }>(sql, name, after ?? null, limit).map(({ tag }) => tag);
  }

  names({ limit, after }: Page): string[] {
    const sql = `SELECT repository AS name FROM manifests WHERE repository > ?1
                 UNION SELECT repository FROM blobs WHERE repository > ?1
                 ORDER BY name LIMIT ?2`;
    return this.#state.all<{ name: string }>(sql, after ?? '', limit).map(({ name }) => name);
  }

  /** Manifests whose subject this is, in the order of their digests. */
  referrers(name: string, subject: Digest, page: Page & { artifactType: string | undefined }) {
    const sql = `SELECT * FROM manifests WHERE repository = ?1 AND subject = ?2
                 AND (?3 IS NULL OR artifact_type = ?3) AND digest > ?4 ORDER BY digest LIMIT ?5`;
    return this.#state
      .all<ManifestRow>(sql, name, subject, page.artifactType ?? null, page.after ?? '', page.limit)
      .map(toReferrer);
  }

  #removeUnnamed(digest: Digest): void {
    const sql = `SELECT 1 FROM blobs WHERE digest = ?1
                 UNION ALL SELECT 1 FROM manifests WHERE digest = ?1 LIMIT 1`;
    if (!this.#state.get(sql, digest)) this.#content.remove(digest);
  }
}

function toReferrer(row: ManifestRow): Descriptor {
  const { digest, media_type: mediaType, size, artifact_type: artifactType } = row;
  const annotations: Record<string, string> = JSON.parse(row.annotations);
  return {
    mediaType,
    digest,
    size,
    ...(artifactType !== null && { artifactType }),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  };
}

function unknownManifest(name: string, reference: ManifestReference): StrataError {
  const what = 'tag' in reference ? `tag ${reference.tag}` : `manifest ${reference.digest}`;
  return failure('MANIFEST_UNKNOWN', `${name} has no ${what}`);
}

function lockDirectory(directory: string): number {
  const path = join(directory, 'lock');
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  if (localSyscalls().flock(fd, LOCK_EX | LOCK_NB)) return fd;
  closeSync(fd);
  throw new StrataError('REGISTRY_IN_USE', `another registry serves ${directory}`, {
    path,
    hint: 'stop it, or give this one another directory',
  });
}
