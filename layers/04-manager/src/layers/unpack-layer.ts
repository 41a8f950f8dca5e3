/**
 * Unpacks one layer into a directory of its own, in overlayfs's form.
 *
 *   blob ─▶ decompress ─▶ count and hash ─▶ tar entries ─▶ files below `target`
 *
 * The hash of the decompressed bytes is the layer's diff id. It is known only at the end, so the
 * caller unpacks into a directory that nobody sees yet and throws it away when this throws.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, createReadStream, writeSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import {
  errnoOf,
  localSyscalls,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  StrataError,
  SyscallError,
  span,
} from '@strata/namespaces';
import {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  digestFromHex,
} from '../content/digest.ts';
import { type LayerEntry, layerEntry } from './layer-entry.ts';
import type { Compression } from './layer-media.ts';
import { isNotThere, LayerRoot } from './layer-root.ts';
import { finishFile, makeEntry } from './make-entry.ts';
import { type TarEntry, TarReader } from './tar-entries.ts';

/** Against archives that grow when unpacked. All can be raised by who knows the image. */
export interface UnpackLimits {
  /** Bytes of the decompressed archive. */
  bytes: number;
  entries: number;
  /** Decompressed to compressed bytes, looked at from `ratioFromBytes` on. */
  ratio: number;
}

export const DEFAULT_LIMITS: UnpackLimits = { bytes: 64 * 2 ** 30, entries: 2 ** 21, ratio: 200 };
/** Small archives of zeros (an empty database, a sparse log) compress extremely and do no harm. */
const RATIO_FROM_BYTES = 2 ** 30;

export interface UnpackOptions {
  /** The layer's blob, open for reading; closed when all is read or something fails. */
  blobFd: number;
  compression: Compression;
  /** An existing empty directory. */
  target: string;
  /** Unpacked layers below, topmost first. */
  lowers: readonly string[];
  /** What the image's configuration says the decompressed archive's digest is. */
  diffId: Digest;
  limits?: Partial<UnpackLimits>;
}

/**
 * Unpacks a layer.
 * @returns bytes of the decompressed archive
 * @throws {StrataError} INVALID_LAYER, LAYER_TOO_LARGE, DIGEST_MISMATCH (diff id), or an errno of
 *   the file system; what has been unpacked by then stays in `target`
 */
export function unpackLayer(options: UnpackOptions): Promise<number> {
  return span('layer.unpack', { 'layer.diff_id': options.diffId }, () => unpack(options));
}

async function unpack(options: UnpackOptions): Promise<number> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const meter = new Meter(limits, algorithmOf(options.diffId));
  const tar = new TarReader();
  const source = createReadStream('', { fd: options.blobFd, highWaterMark: 1 << 18 });
  const feeding = pipeline(
    source,
    meter.compressed,
    ...decompressors(options.compression),
    meter.decompressed,
    tar.input,
  );
  // Awaited below; until then a failure shows as the end of the entries.
  feeding.catch(() => undefined);
  try {
    await makeEntries(tar, options, limits);
    await feeding;
  } catch (error) {
    tar.input.destroy();
    const failure = await feeding.then(
      () => error,
      (fed) => (fed instanceof StrataError ? fed : error),
    );
    throw layerError(failure);
  }
  const found = meter.digest();
  if (found !== options.diffId) {
    const message = `layer ${options.diffId} has the content of ${found}`;
    throw new StrataError('DIGEST_MISMATCH', message, {
      hint: "the image's configuration and its layers do not belong together",
    });
  }
  return meter.bytes;
}

async function makeEntries(
  tar: TarReader,
  options: UnpackOptions,
  limits: UnpackLimits,
): Promise<void> {
  using root = new LayerRoot(options.target, options.lowers);
  const directoryTimes = new Map<string, bigint>();
  let count = 0;
  for await (const tarEntry of tar.entries()) {
    count += 1;
    if (count > limits.entries) {
      throw new StrataError('LAYER_TOO_LARGE', `layer has more than ${limits.entries} entries`);
    }
    const entry = layerEntry(tarEntry.header, tarEntry.records);
    if (entry.type === 'directory') directoryTimes.set(entry.path.join('/') || '.', entry.mtimeNs);
    const fd = inEntry(entry, () => makeEntry(root, entry));
    if (fd === undefined) {
      tarEntry.data.resume();
      continue;
    }
    await writeContent(fd, tarEntry);
    inEntry(entry, () => finishFile(fd, entry));
  }
  setDirectoryTimes(root, new Map([...root.impliedTimes, ...directoryTimes]));
}

/** Says which entry it was that the kernel refused. */
function inEntry<T>(entry: LayerEntry, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const path = entry.path.join('/');
    const message = `layer entry ${JSON.stringify(path)}: ${error.message}`;
    const { errno, syscall } = error;
    throw new StrataError(error.code, message, { path, errno, syscall, cause: error });
  }
}

async function writeContent(fd: number, { header, data }: TarEntry): Promise<void> {
  if (header.size === 0) {
    data.resume();
    return;
  }
  try {
    for await (const chunk of data) {
      const bytes = chunk as Uint8Array;
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Last of all, since every file made in a directory changes its time. */
function setDirectoryTimes(root: LayerRoot, times: ReadonlyMap<string, bigint>): void {
  for (const [path, timeNs] of times) {
    const fd = openDirectory(root, path);
    if (fd === undefined) continue;
    localSyscalls().utimensat(fd, null, timeNs);
    localSyscalls().close(fd);
  }
}

/** Undefined where a later entry of the layer has put something else in the directory's place. */
function openDirectory(root: LayerRoot, path: string): number | undefined {
  try {
    return root.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (isNotThere(error)) return undefined;
    throw error;
  }
}

function decompressors(compression: Compression): NodeJS.ReadWriteStream[] {
  if (compression === 'gzip') return [createGunzip({ chunkSize: 1 << 18 })];
  if (compression === 'zstd') return [createZstdDecompress({ chunkSize: 1 << 18 })];
  return [];
}

/** Counts and hashes what flows by. */
class Meter {
  readonly #limits: UnpackLimits;
  readonly #algorithm: DigestAlgorithm;
  readonly #hash: Hash;
  #compressedBytes = 0;
  bytes = 0;

  constructor(limits: UnpackLimits, algorithm: DigestAlgorithm) {
    this.#limits = limits;
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  readonly compressed = async function* (
    this: Meter,
    source: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.#compressedBytes += chunk.length;
      yield chunk;
    }
  }.bind(this);

  readonly decompressed = async function* (
    this: Meter,
    source: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.bytes += chunk.length;
      this.#check();
      this.#hash.update(chunk);
      yield chunk;
    }
  }.bind(this);

  /** To be asked once, at the end. */
  digest(): Digest {
    return digestFromHex(this.#hash.digest('hex'), this.#algorithm);
  }

  #check(): void {
    const { bytes, ratio } = this.#limits;
    if (this.bytes > bytes) {
      throw new StrataError('LAYER_TOO_LARGE', `layer unpacks to more than ${bytes} bytes`);
    }
    if (this.bytes > RATIO_FROM_BYTES && this.bytes > this.#compressedBytes * ratio) {
      const message = `layer unpacks to ${this.bytes} bytes, more than ${ratio} times its size`;
      throw new StrataError('LAYER_TOO_LARGE', message, { hint: 'this looks like a zip bomb' });
    }
  }
}

/** What tar-stream and zlib throw says little; ours and the kernel's errors are kept. */
function layerError(error: unknown): unknown {
  if (error instanceof StrataError) return error;
  const isSystem = errnoOf(error) !== undefined && error instanceof Error && 'syscall' in error;
  if (isSystem) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new StrataError('INVALID_LAYER', `layer cannot be read: ${reason}`, { cause: error });
}
