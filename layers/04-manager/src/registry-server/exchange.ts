/** One request and its answer, as the handlers of a registry see them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { failure } from './registry-failure.ts';
import type { ChunkRange } from './uploads.ts';

const MAX_QUERY_TAGS = 10;

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly method: string;

  constructor(request: IncomingMessage, response: ServerResponse, query: URLSearchParams) {
    this.request = request;
    this.response = response;
    this.query = query;
    this.method = request.method ?? '';
  }

  /** Sends a head and, but for HEAD, a body; what is left of the request is read and dropped. */
  answer(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array | string = '',
  ) {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.request.resume();
    this.response.writeHead(status, {
      ...(status !== 204 && { 'content-length': String(bytes.length) }),
      ...headers,
    });
    this.response.end(this.method === 'HEAD' ? undefined : bytes);
  }

  json(value: unknown, headers: Readonly<Record<string, string>> = {}): void {
    this.answer(200, { 'content-type': 'application/json', ...headers }, JSON.stringify(value));
  }

  /** @throws {StrataError} PAGINATION_NUMBER_INVALID */
  page(largest: number): { limit: number; after: string | undefined } {
    const text = this.query.get('n');
    const after = this.query.get('last') ?? undefined;
    if (text === null) return { limit: largest, after };
    if (!/^\d{1,9}$/.test(text)) {
      const shown = JSON.stringify(text.slice(0, 100));
      throw failure('PAGINATION_NUMBER_INVALID', `n is ${shown}, a number is needed`);
    }
    return { limit: Math.min(Number(text), largest), after };
  }

  /** Content-Range of a chunk: `0-1023`, as registries have it, or `bytes 0-1023/2048`. */
  chunkRange(): ChunkRange | undefined {
    const text = this.request.headers['content-range'];
    if (text === undefined) return undefined;
    const [, start, end] = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/.*)?$/.exec(text) ?? [];
    if (start === undefined || Number(end) < Number(start)) {
      const shown = JSON.stringify(text.slice(0, 100));
      throw failure('BLOB_UPLOAD_INVALID', `Content-Range is ${shown}, not FIRST-LAST`);
    }
    return { start: Number(start), end: Number(end) };
  }

  /** Tags that a manifest shall have besides: `?tag=a&tag=b`. */
  tags(): string[] {
    const tags = this.query.getAll('tag');
    if (tags.length <= MAX_QUERY_TAGS) return tags;
    throw failure('MANIFEST_INVALID', `${tags.length} tags: at most ${MAX_QUERY_TAGS} at once`);
  }

  /** The bytes of the request. Who stops reading can still answer it. */
  chunks(): AsyncIterable<Buffer> {
    return this.request.iterator({ destroyOnReturn: false });
  }

  /** @param limit bytes @throws {StrataError} MANIFEST_TOO_LARGE */
  async body(limit: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of this.chunks()) {
      size += chunk.length;
      if (size > limit) {
        throw failure('MANIFEST_TOO_LARGE', `a manifest may have ${limit} bytes`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }
}
