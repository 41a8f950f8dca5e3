/**
 * Fetches a blob into the store: goes on where an earlier fetch ended, again when the connection
 * breaks, and over several connections where one is slow.
 *
 *   one connection ──▶ ... after 1.5 s still more than 16 MiB to come ...
 *                      └─▶ parts of 4 MiB over four connections, put together in their order
 *
 * A fast registry so never pays for the parts, and a slow one (or one that limits each connection)
 * does not make a fat layer the length of the pull.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { StrataError } from '@strata/namespaces';
import type { BlobWriter } from '../content/blob-writer.ts';
import type { Digest } from '../content/digest.ts';
import type { RegistryClient } from './registry-client.ts';
import { registryError } from './registry-request.ts';

export interface BlobSource {
  client: RegistryClient;
  digest: Digest;
  /** Bytes of the whole. */
  size: number;
  /** Told how many bytes are there. */
  onProgress?: (received: number) => void;
  /** For tests: when to change over to parts. */
  partsAfterMs?: number;
}

const PART_BYTES = 4 * 2 ** 20;
const PARTS_AT_ONCE = 4;
const PARTS_AFTER_MS = 1500;
const WORTH_PARTS_BYTES = 16 * 2 ** 20;
/** Broken connections in a row without a byte between. */
const MAX_BREAKS = 5;
const FIRST_WAIT_MS = 50;

/** @throws {StrataError} as the client's calls; what has come by then is in the writer */
export async function fetchBlob(source: BlobSource, writer: BlobWriter): Promise<void> {
  const { size, onProgress } = source;
  if (writer.size > 0) onProgress?.(writer.size);
  let breaks = 0;
  while (writer.size < size || size === 0) {
    const before = writer.size;
    try {
      const isDone = await fetchStream(source, writer);
      if (!isDone) await fetchParts(source, writer);
      return;
    } catch (error) {
      breaks = writer.size > before ? 1 : breaks + 1;
      const isBreak = error instanceof StrataError && error.code === 'REGISTRY_ERROR';
      // An answer that ends early at the same byte again and again is all there is.
      if (!isBreak || writer.size === 0 || breaks >= MAX_BREAKS) throw error;
      await sleep(FIRST_WAIT_MS * 2 ** (breaks - 1));
    }
  }
}

/** @returns false where it was given up for parts */
async function fetchStream(source: BlobSource, writer: BlobWriter): Promise<boolean> {
  const { client, digest, size, onProgress, partsAfterMs = PARTS_AFTER_MS } = source;
  const { response, begin } = await client.blob(digest, { from: writer.size });
  const canParts = begin > 0 || response.header('accept-ranges') === 'bytes';
  const started = performance.now();
  let at = begin;
  for await (const chunk of response.chunks()) {
    const skipped = Math.max(0, writer.size - at);
    at += chunk.length;
    if (skipped < chunk.length) writer.write(skipped > 0 ? chunk.subarray(skipped) : chunk);
    onProgress?.(writer.size);
    const isSlow = canParts && size - writer.size > WORTH_PARTS_BYTES;
    if (isSlow && performance.now() - started > partsAfterMs) return false;
  }
  if (writer.size < size) {
    throw new StrataError(
      'SIZE_MISMATCH',
      `${digest} has ${at} of the ${size} bytes that were announced`,
    );
  }
  return true;
}

async function fetchParts(source: BlobSource, writer: BlobWriter): Promise<void> {
  const { size, onProgress } = source;
  const waiting: Promise<Buffer>[] = [];
  let next = writer.size;
  const begin = (): void => {
    if (next >= size) return;
    const part = fetchPart(source, next, Math.min(size, next + PART_BYTES));
    // Whoever awaits them in their order sees the failure; until then it is not "unhandled".
    part.catch(() => undefined);
    waiting.push(part);
    next += PART_BYTES;
  };
  for (let count = 0; count < PARTS_AT_ONCE; count += 1) begin();
  try {
    while (waiting.length > 0) {
      writer.write(await waiting.shift()!);
      onProgress?.(writer.size);
      begin();
    }
  } finally {
    await Promise.allSettled(waiting);
  }
}

async function fetchPart(
  { client, digest }: BlobSource,
  from: number,
  to: number,
): Promise<Buffer> {
  const { response, begin } = await client.blob(digest, { from, to });
  if (begin !== from) {
    response.discard();
    throw registryError(response, 'sends no parts of blobs any more');
  }
  const bytes = await response.read(to - from);
  if (bytes.length === to - from) return bytes;
  throw registryError(response, `sends ${bytes.length} bytes of ${to - from}`);
}
