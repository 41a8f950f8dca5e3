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
import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  openSync,
  read,
  readSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { StrataError } from '@strata/namespaces';
import { type Digest, layoutPath } from '../content/digest.ts';
import { jsonObject, parseJson } from '../images/json-fields.ts';
import { MAX_MANIFEST_BYTES } from '../images/manifest.ts';
import { TarReader } from '../layers/tar-entries.ts';

export interface LayoutSource extends Disposable {
  /** For messages. */
  readonly path: string;
  /** The bytes of a small file of the layout. @throws {StrataError} INVALID_LAYOUT */
  file(name: string): Buffer;
  /** The chunks of a blob, not verified. @throws {StrataError} INVALID_LAYOUT */
  blob(digest: Digest): AsyncIterable<Uint8Array>;
}

const MAX_ENTRIES = 100_000;
const readAt = promisify(read);
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW;
const CHUNK_BYTES = 1 << 18;

/** Opens a layout and checks its version. @throws {StrataError} INVALID_LAYOUT, ENOENT */
export async function openLayout(path: string): Promise<LayoutSource> {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status) throw new StrataError('ENOENT', `no image layout at ${path}`, { path });
  const source = status.isDirectory() ? new DirectoryLayout(path) : await ArchiveLayout.open(path);
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

export const invalidLayout = (path: string, reason: string, hint?: string): StrataError =>
  new StrataError('INVALID_LAYOUT', `image layout ${path} ${reason}`, { path, hint });

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

interface Range {
  offset: number;
  size: number;
}

class ArchiveLayout implements LayoutSource {
  readonly path: string;
  readonly #fd: number;
  readonly #entries: ReadonlyMap<string, Range>;

  private constructor(path: string, fd: number, entries: ReadonlyMap<string, Range>) {
    this.path = path;
    this.#fd = fd;
    this.#entries = entries;
  }

  static async open(path: string): Promise<ArchiveLayout> {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!fstatSync(fd).isFile()) throw invalidLayout(path, 'is no regular file');
      return new ArchiveLayout(path, fd, await listEntries(path, fd));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  file(name: string): Buffer {
    const range = this.#range(name);
    return readRange({ fd: this.#fd, ...range, limit: MAX_MANIFEST_BYTES, path: this.path });
  }

  async *blob(digest: Digest): AsyncGenerator<Uint8Array> {
    const { offset, size } = this.#range(layoutPath(digest));
    yield* fileChunks(this.#fd, offset, offset + size);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #range(name: string): Range {
    const range = this.#entries.get(name);
    if (range) return range;
    if (name === 'oci-layout' && this.#entries.has('manifest.json')) {
      const hint = 'this looks like the output of docker save before Docker 25: not supported yet';
      throw invalidLayout(this.path, 'is a docker-archive', hint);
    }
    throw missing(this.path, name);
  }
}

async function listEntries(path: string, fd: number): Promise<Map<string, Range>> {
  const entries = new Map<string, Range>();
  const tar = new TarReader();
  const feeding = pipeline(fileChunks(fd, 0, Number.POSITIVE_INFINITY), tar.input);
  // Awaited below, where the loop has ended.
  feeding.catch(() => undefined);
  try {
    for await (const { header, data } of tar.entries()) {
      data.resume();
      if (header.type !== 'file') continue;
      // tar-stream knows where an entry's bytes begin; its types do not say so.
      const { byteOffset: offset } = header as unknown as { byteOffset: number };
      entries.set(header.name.replace(/^(\.?\/)+/, ''), { offset, size: header.size });
      if (entries.size > MAX_ENTRIES) throw invalidLayout(path, `has over ${MAX_ENTRIES} files`);
    }
    await feeding;
    return entries;
  } catch (error) {
    tar.input.destroy();
    if (error instanceof StrataError) throw error;
    throw invalidLayout(path, `is no tar archive: ${(error as Error).message}`);
  }
}

/** Reads by offset. (A ReadStream of a descriptor closes it when destroyed, whatever it is told.) */
async function* fileChunks(fd: number, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; ) {
    const bytes = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - at));
    const { bytesRead } = await readAt(fd, bytes, 0, bytes.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield bytes.subarray(0, bytesRead);
  }
}

function readRange(options: Range & { fd: number; limit: number; path: string }): Buffer {
  const { fd, offset, size, limit, path } = options;
  if (size > limit) throw invalidLayout(path, `has a document of ${size} bytes, over ${limit}`);
  const bytes = Buffer.alloc(size);
  const read = readSync(fd, bytes, 0, size, offset);
  return bytes.subarray(0, read);
}

const missing = (path: string, name: string): StrataError =>
  invalidLayout(path, `has no file ${name}`);
