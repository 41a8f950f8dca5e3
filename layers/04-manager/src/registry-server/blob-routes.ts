/** Blobs: reading them, and the three ways in which they come (at once, in chunks, by a mount). */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { type Digest, isDigest, parseDigest } from '../content/digest.ts';
import { readRange } from './blob-range.ts';
import type { Exchange } from './exchange.ts';
import type { Repositories } from './repositories.ts';
import { parseName, type Route } from './route.ts';
import type { Uploads } from './uploads.ts';

export interface BlobContext {
  repositories: Repositories;
  uploads: Uploads;
}

const OCTETS = 'application/octet-stream';

export async function blob(
  { repositories }: BlobContext,
  { name, digest }: Route & { kind: 'blob' },
  exchange: Exchange,
): Promise<void> {
  if (exchange.method === 'DELETE') {
    repositories.removeBlob(name, digest);
    exchange.answer(202, {});
    return;
  }
  const size = repositories.blobSize(name, digest);
  const headers = {
    'content-type': OCTETS,
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
  };
  exchange.response.setHeader('content-range', `bytes */${size}`);
  const range = readRange(exchange.request.headers.range, size);
  exchange.response.removeHeader('content-range');
  const { start, end } = range ?? { start: 0, end: size };
  exchange.response.writeHead(range ? 206 : 200, {
    ...headers,
    'content-length': String(end - start),
    ...(range && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
  });
  if (exchange.method === 'HEAD' || start === end) {
    exchange.response.end();
    return;
  }
  const fd = repositories.openBlob(digest);
  const file = createReadStream('', { fd, start, end: end - 1, highWaterMark: 1 << 18 });
  await pipeline(file, exchange.response);
}

/** POST: begins an upload, or does all of it. */
export async function beginUpload(
  context: BlobContext,
  { name }: Route & { kind: 'uploads' },
  exchange: Exchange,
): Promise<void> {
  const { repositories, uploads } = context;
  const mount = exchange.query.get('mount');
  const from = exchange.query.get('from');
  if (isDigest(mount) && repositories.mountBlob(name, mount, from ? parseName(from) : undefined)) {
    created(exchange, name, mount);
    return;
  }
  const id = uploads.begin(name);
  if (!exchange.query.has('digest')) {
    accepted(exchange, { name, id, size: 0 });
    return;
  }
  try {
    await completeUpload(context, { kind: 'upload', name, id }, exchange);
  } finally {
    // Nobody was told of it who could go on with it.
    uploads.drop(id);
  }
}

/** PATCH, PUT, GET and DELETE of an upload that is under way. */
export async function upload(
  context: BlobContext,
  route: Route & { kind: 'upload' },
  exchange: Exchange,
): Promise<void> {
  const { uploads } = context;
  const { name, id } = route;
  // Also where the request is refused: where to go on, and from which byte.
  const size = uploads.size(name, id);
  exchange.response.setHeader('location', uploadPath(name, id));
  exchange.response.setHeader('range', shownRange(size));
  if (exchange.method === 'GET') {
    exchange.answer(204, { 'docker-upload-uuid': id });
  } else if (exchange.method === 'DELETE') {
    uploads.cancel(name, id);
    exchange.answer(204, {});
  } else if (exchange.method === 'PATCH') {
    const range = exchange.chunkRange();
    const now = await uploads.append(name, id, { chunks: exchange.chunks(), range });
    accepted(exchange, { name, id, size: now });
  } else {
    await completeUpload(context, route, exchange);
  }
}

async function completeUpload(
  { repositories, uploads }: BlobContext,
  { name, id }: Route & { kind: 'upload' },
  exchange: Exchange,
): Promise<void> {
  const digest = parseDigest(exchange.query.get('digest'), 'digest');
  const range = exchange.chunkRange();
  await uploads.append(name, id, { chunks: exchange.chunks(), range });
  exchange.response.removeHeader('range');
  uploads.finish(name, id, (writer) => repositories.commitBlob(name, writer, digest));
  created(exchange, name, digest);
}

function created(exchange: Exchange, name: string, digest: Digest): void {
  const location = `/v2/${name}/blobs/${digest}`;
  exchange.answer(201, { location, 'docker-content-digest': digest });
}

function accepted(exchange: Exchange, at: { name: string; id: string; size: number }): void {
  exchange.answer(202, {
    location: uploadPath(at.name, at.id),
    range: shownRange(at.size),
    'docker-upload-uuid': at.id,
  });
}

const uploadPath = (name: string, id: string): string => `/v2/${name}/blobs/uploads/${id}`;

/** Docker's registry says `0-0` for nothing too, and clients expect it. */
const shownRange = (size: number): string => `0-${Math.max(0, size - 1)}`;
