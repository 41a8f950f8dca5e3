/**
 * The table of names: which image each name stands for.
 *
 * A pull of `repo:tag` records two names, `repo:tag` and `repo@digest`: when the tag moves on, the
 * old image is still there under its digest. Images are found by name, by any of their digests, or
 * by the beginning of their id.
 */
import { StrataError } from '@strata/namespaces';
import { type Digest, isDigest } from '../content/digest.ts';
import { familiarName, formatReference, parseReference } from '../references/reference.ts';
import type { StateDatabase } from '../state/state-database.ts';
import type { Descriptor } from './descriptor.ts';

export interface NamedImage {
  name: string;
  /** What the name stands for, perhaps an index. */
  target: Descriptor;
  manifest: Digest;
  config: Digest;
  size: number;
}

interface Row {
  name: string;
  target_digest: Digest;
  target_media_type: string;
  target_size: number;
  manifest_digest: Digest;
  config_digest: Digest;
  size: number;
}

const SHORT_ID = /^[0-9a-f]{4,64}$/;
const INSERT = 'INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?)';

export class ImageNames {
  readonly #state: StateDatabase;

  constructor(state: StateDatabase) {
    this.#state = state;
  }

  /** Makes names stand for an image; a name that stood for another leaves that. */
  put(names: readonly string[], image: Omit<NamedImage, 'name'>): void {
    const { target, manifest, config, size } = image;
    this.#state.transaction(() => {
      for (const name of names) {
        const { digest, mediaType } = target;
        const values = [name, digest, mediaType, target.size, manifest, config, size, Date.now()];
        this.#state.run(INSERT, ...values);
      }
    });
  }

  /** Every name, in order. */
  all(): NamedImage[] {
    return this.#state.all<Row>('SELECT * FROM images ORDER BY name').map(fromRow);
  }

  /** Every name of the image with this id. */
  ofImage(config: Digest): NamedImage[] {
    const sql = 'SELECT * FROM images WHERE config_digest = ? ORDER BY name';
    return this.#state.all<Row>(sql, config).map(fromRow);
  }

  remove(names: readonly string[]): void {
    for (const name of names) this.#state.run('DELETE FROM images WHERE name = ?', name);
  }

  /**
   * Finds an image as people name it.
   * @returns one of the names of the image, and whether it was asked for by name (not by id)
   * @throws {StrataError} AMBIGUOUS_ID, INVALID_REFERENCE
   */
  find(text: string): { image: NamedImage; byName: boolean } | undefined {
    if (isDigest(text)) return this.#byDigest(text);
    const short = SHORT_ID.test(text) ? this.#byShortId(text) : undefined;
    const named = SHORT_ID.test(text) && text.length === 64 ? undefined : this.#byName(text);
    return named ?? short;
  }

  #byName(text: string): { image: NamedImage; byName: boolean } | undefined {
    const reference = parseReference(text);
    // With a digest, the tag beside it says nothing more.
    const name = formatReference(reference.digest ? { ...reference, tag: undefined } : reference);
    const row = this.#state.get<Row>('SELECT * FROM images WHERE name = ?', name);
    return row && { image: fromRow(row), byName: true };
  }

  #byDigest(digest: Digest): { image: NamedImage; byName: boolean } | undefined {
    const sql =
      'SELECT * FROM images WHERE config_digest = ?1 OR manifest_digest = ?1 OR target_digest = ?1';
    const row = this.#state.get<Row>(sql, digest);
    return row && { image: fromRow(row), byName: false };
  }

  #byShortId(text: string): { image: NamedImage; byName: boolean } | undefined {
    const sql = 'SELECT * FROM images WHERE config_digest GLOB ? GROUP BY config_digest LIMIT 2';
    const [row, other] = this.#state.all<Row>(sql, `sha256:${text}*`);
    if (row && other) {
      throw new StrataError('AMBIGUOUS_ID', `${text} is the beginning of more than one image id`);
    }
    return row && { image: fromRow(row), byName: false };
  }
}

/** The error for a name that stands for nothing. */
export function imageNotFound(text: string): StrataError {
  return new StrataError('IMAGE_NOT_FOUND', `no image ${familiarName(text)}`, {
    hint: 'pull it, or make one of host programs: strata image from-host',
  });
}

const fromRow = (row: Row): NamedImage => ({
  name: row.name,
  target: {
    digest: row.target_digest,
    mediaType: row.target_media_type,
    size: row.target_size,
  },
  manifest: row.manifest_digest,
  config: row.config_digest,
  size: row.size,
});
