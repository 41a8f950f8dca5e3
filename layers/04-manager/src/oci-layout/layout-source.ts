/**
 * An OCI image layout to read from, as a directory or as a tar archive of one.
 *
 *   oci-layout              {"imageLayoutVersion": "1.0.0"}
 *   index.json              the images in it
 *   blobs/<algorithm>/<hex> manifests, configurations, layers
 *
 * Both are read in place: an archive's entries are listed once, with their offsets, and a blob is
 * read where it lies. So nothing is stored that the chosen image does not need.
 * @see https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
import { closeSync, constants, createReadStream, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import { type Digest, layoutPath } from '../content/digest.ts';
import { jsonObject, parseJson } from '../images/json-fields.ts';
import { MAX_MANIFEST_BYTES } from '../images/manifest.ts';
import { ArchiveFiles, readRange } from './archive-files.ts';
import { invalidLayout } from './invalid-layout.ts';

export interface LayoutSource extends Disposable {
  /** For messages. */
  readonly path: string;
  /** The bytes of a small file of the layout. @throws {StrataError} INVALID_LAYOUT */
  file(name: string): Buffer;
  /** The chunks of a blob, not verified. @throws {StrataError} INVALID_LAYOUT */
  blob(digest: Digest): AsyncIterable<Uint8Array>;
}

const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW;
const CHUNK_BYTES = 1 << 18;

/** Opens a layout and checks its version. @throws {StrataError} INVALID_LAYOUT, ENOENT */
export async function openLayout(path: string): Promise<LayoutSource> {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status) throw new StrataError('ENOENT', `no image layout at ${path}`, { path });
  const source = status.isDirectory()
    ? new DirectoryLayout(path)
    : new ArchiveLayout(await ArchiveFiles.open(path));
  try {
    const marker = jsonObject(parseJson(source.file('oci-layout'), 'oci-layout'), 'oci-layout');
    const version = marker.imageLayoutVersion;
    if (version === '1.0.0') return source;
    throw invalidLayout(path, `has the layout version ${JSON.stringify(version)}, not "1.0.0"`);
  } catch (error) {
    source[Symbol.dispose]();
    throw error;
  }
}

class DirectoryLayout implements LayoutSource {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  file(name: string): Buffer {
    const { fd, size } = this.#open(name);
    try {
      return readRange({ fd, offset: 0, size, limit: MAX_MANIFEST_BYTES, path: this.path });
    } finally {
      closeSync(fd);
    }
  }

  async *blob(digest: Digest): AsyncGenerator<Uint8Array> {
    const { fd } = this.#open(layoutPath(digest));
    yield* createReadStream('', { fd, highWaterMark: CHUNK_BYTES });
  }

  [Symbol.dispose](): void {
    // Nothing stays open.
  }

  #open(name: string): { fd: number; size: number } {
    const path = join(this.path, name);
    // A FIFO in place of a file must not hold us, nor a device be read.
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw missing(this.path, name);
    const fd = openSync(path, READ_FLAGS | constants.O_NONBLOCK);
    return { fd, size: fstatSync(fd).size };
  }
}

class ArchiveLayout implements LayoutSource {
  readonly #files: ArchiveFiles;

  constructor(files: ArchiveFiles) {
    this.#files = files;
  }

  get path(): string {
    return this.#files.path;
  }

  file(name: string): Buffer {
    if (name === 'oci-layout' && !this.#files.has(name) && this.#files.has('manifest.json')) {
      const hint =
        'this is what docker save has written: strata copy docker-archive:PATH strata:NAME';
      throw invalidLayout(this.path, 'is a docker-archive', hint);
    }
    return this.#files.file(name);
  }

  blob(digest: Digest): AsyncIterable<Uint8Array> {
    return this.#files.chunks(layoutPath(digest));
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }
}

const missing = (path: string, name: string): StrataError =>
  invalidLayout(path, `has no file ${name}`);
