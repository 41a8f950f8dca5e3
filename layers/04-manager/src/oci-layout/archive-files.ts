/**
 * The files of a tar archive, read where they lie: listed once, with their offsets.
 */
import { closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { StrataError } from '@strata/namespaces';
import { MAX_MANIFEST_BYTES } from '../images/manifest.ts';
import { TarReader } from '../layers/tar-entries.ts';
import { invalidLayout } from './invalid-layout.ts';

const MAX_ENTRIES = 100_000;
const CHUNK_BYTES = 1 << 18;
const readAt = promisify(read);

interface Range {
  offset: number;
  size: number;
}

export class ArchiveFiles implements Disposable {
  readonly path: string;
  readonly #fd: number;
  readonly #entries: ReadonlyMap<string, Range>;

  private constructor(path: string, fd: number, entries: ReadonlyMap<string, Range>) {
    this.path = path;
    this.#fd = fd;
    this.#entries = entries;
  }

  /** @throws {StrataError} INVALID_LAYOUT */
  static async open(path: string): Promise<ArchiveFiles> {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!fstatSync(fd).isFile()) throw invalidLayout(path, 'is no regular file');
      return new ArchiveFiles(path, fd, await listEntries(path, fd));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Bytes. @throws {StrataError} INVALID_LAYOUT */
  size(name: string): number {
    return this.#range(name).size;
  }

  /** The bytes of a small file. @throws {StrataError} INVALID_LAYOUT */
  file(name: string): Buffer {
    const range = this.#range(name);
    return readRange({ fd: this.#fd, ...range, limit: MAX_MANIFEST_BYTES, path: this.path });
  }

  chunks(name: string): AsyncGenerator<Uint8Array> {
    const { offset, size } = this.#range(name);
    return fileChunks(this.#fd, offset, offset + size);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #range(name: string): Range {
    const range = this.#entries.get(name);
    if (range) return range;
    throw invalidLayout(this.path, `has no file ${name}`);
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

/** At most `limit` bytes. */
export function readRange(options: Range & { fd: number; limit: number; path: string }): Buffer {
  const { fd, offset, size, limit, path } = options;
  if (size > limit) throw invalidLayout(path, `has a document of ${size} bytes, over ${limit}`);
  const bytes = Buffer.alloc(size);
  const read = readSync(fd, bytes, 0, size, offset);
  return bytes.subarray(0, read);
}
