/**
 * Uploads that are under way.
 *
 *   POST uploads/ ─▶ session ─▶ PATCH bytes, PATCH bytes, ... ─▶ PUT ?digest= ─▶ blob
 *                       └──────── DELETE, an hour without a byte, or the end of the server ─▶ nothing
 *
 * Each has a file in the store's `ingest/`, which is gone with the server: a client that finds its
 * session unknown begins again, as the specification has it.
 */
import { randomUUID } from 'node:crypto';
import type { BlobWriter } from '../content/blob-writer.ts';
import { failure } from './registry-failure.ts';

export interface ChunkRange {
  /** First and last byte. */
  start: number;
  end: number;
}

interface Session {
  name: string;
  writer: BlobWriter;
  /** A request is writing to it. */
  busy: boolean;
  /** Milliseconds since 1970. */
  lastUsed: number;
}

const IDLE_LIMIT_MS = 3_600_000;
/** Each holds a file open. */
const MAX_SESSIONS = 1000;

export class Uploads implements Disposable {
  readonly #sessions = new Map<string, Session>();
  readonly #begin: () => BlobWriter;
  readonly #sweeping = setInterval(() => this.#sweep(), IDLE_LIMIT_MS / 60).unref();

  constructor(begin: () => BlobWriter) {
    this.#begin = begin;
  }

  /** @returns the session's id @throws {StrataError} TOOMANYREQUESTS */
  begin(name: string): string {
    if (this.#sessions.size >= MAX_SESSIONS) {
      throw failure('TOOMANYREQUESTS', `${MAX_SESSIONS} uploads are under way already`);
    }
    const id = randomUUID();
    const writer = this.#begin();
    this.#sessions.set(id, { name, writer, busy: false, lastUsed: Date.now() });
    return id;
  }

  /** Bytes that have come so far. @throws {StrataError} BLOB_UPLOAD_UNKNOWN */
  size(name: string, id: string): number {
    return this.#session(name, id).writer.size;
  }

  /**
   * Appends what a request brings. Bytes that came before it broke off count.
   * @param range where it says its bytes belong
   * @throws {StrataError} RANGE_INVALID, SIZE_INVALID, BLOB_UPLOAD_INVALID, BLOB_UPLOAD_UNKNOWN
   */
  async append(
    name: string,
    id: string,
    given: { chunks: AsyncIterable<Uint8Array>; range: ChunkRange | undefined },
  ): Promise<number> {
    const session = this.#session(name, id);
    const { writer } = session;
    const { range } = given;
    if (session.busy) throw failure('BLOB_UPLOAD_INVALID', 'another request is writing to it');
    if (range && range.start !== writer.size) {
      const message = `the chunk begins at ${range.start}, and ${writer.size} bytes are there`;
      throw failure('RANGE_INVALID', message);
    }
    session.busy = true;
    try {
      for await (const chunk of given.chunks) {
        if (range && writer.size + chunk.length > range.end + 1) {
          throw failure(
            'SIZE_INVALID',
            `the chunk has more bytes than ${range.start}-${range.end}`,
          );
        }
        writer.write(chunk);
        session.lastUsed = Date.now();
      }
    } finally {
      session.busy = false;
    }
    if (range && writer.size !== range.end + 1) {
      throw failure('SIZE_INVALID', `the chunk has fewer bytes than ${range.start}-${range.end}`);
    }
    return writer.size;
  }

  /** Ends the session with `commit`, which may refuse what has come; it is over either way. */
  finish(name: string, id: string, commit: (writer: BlobWriter) => void): void {
    using writer = this.#session(name, id).writer;
    this.#sessions.delete(id);
    commit(writer);
  }

  /** @throws {StrataError} BLOB_UPLOAD_UNKNOWN */
  cancel(name: string, id: string): void {
    this.finish(name, id, () => {});
  }

  /** Ends a session, if it is still there. */
  drop(id: string): void {
    const session = this.#sessions.get(id);
    this.#sessions.delete(id);
    session?.writer[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeping);
    for (const id of this.#sessions.keys()) this.drop(id);
  }

  #session(name: string, id: string): Session {
    const session = this.#sessions.get(id);
    if (session?.name === name) return session;
    throw failure('BLOB_UPLOAD_UNKNOWN', `${name} has no upload ${id}`);
  }

  #sweep(): void {
    const oldest = Date.now() - IDLE_LIMIT_MS;
    for (const [id, { busy, lastUsed }] of this.#sessions) {
      if (busy || lastUsed > oldest) continue;
      this.drop(id);
    }
  }
}
