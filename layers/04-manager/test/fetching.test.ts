/** How blobs come: in pieces, over broken connections, by several processes at once, from mirrors. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ContentStore } from '../src/content/content-store.ts';
import { digestOf } from '../src/content/digest.ts';
import { parseReference } from '../src/references/reference.ts';
import { fetchBlob } from '../src/registry/fetch-blob.ts';
import { RegistryClient, type RegistryOptions } from '../src/registry/registry-client.ts';
import { RegistryServer } from '../src/registry-server/registry-server.ts';

const BLOB = randomBytes(24 * 2 ** 20);
const digest = digestOf(BLOB);
const size = BLOB.length;

let scratch: string;
let registry: RegistryServer;
let proxies: Server[];
let store: ContentStore;
/** What was asked of the proxy: method, path, range. */
let asked: string[];

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'strata-fetching-'));
  registry = await RegistryServer.open({ directory: join(scratch, 'registry') });
  store = new ContentStore(join(scratch, 'store'));
  proxies = [];
  asked = [];
  const url = `${registry.address}/v2/app/blobs/uploads/?digest=${digest}`;
  expect((await fetch(url, { method: 'POST', body: BLOB })).status).toBe(201);
});
afterEach(async () => {
  for (const proxy of proxies) {
    proxy.closeAllConnections();
    proxy.close();
  }
  await registry[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
});

type Interfere = (request: IncomingMessage, response: ServerResponse) => Promise<boolean> | boolean;

/** A registry before the registry, which may answer some requests in its own way. */
async function proxy(interfere: Interfere): Promise<string> {
  const server = createServer(async (request, response) => {
    asked.push([request.method, request.url, request.headers.range].filter(Boolean).join(' '));
    if (await interfere(request, response)) return;
    const { range } = request.headers;
    const answer = await fetch(registry.address + request.url, {
      headers: range ? { range } : {},
    });
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxies.push(server);
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const clientOf = (host: string, options: RegistryOptions = {}): RegistryClient =>
  new RegistryClient(parseReference(`${host}/app:latest`), { directories: [], ...options });

async function fetchIt(client: RegistryClient, partsAfterMs?: number): Promise<void> {
  using writer = await store.resume({ digest, size });
  if (!writer) return;
  await fetchBlob(
    { client, digest, size, ...(partsAfterMs !== undefined && { partsAfterMs }) },
    writer,
  );
  writer.commit();
}

const isWhole = (): boolean => store.read(digest, size).equals(BLOB);
const partials = (): string[] => readdirSync(join(scratch, 'store/content/partial'));

/** Sends the beginning of what is wanted, and breaks the connection. */
function sendSome(request: IncomingMessage, response: ServerResponse, bytes: number): boolean {
  const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const range = { 'content-range': `bytes ${from}-${size - 1}/${size}` };
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': size - from,
    ...(from > 0 && range),
  });
  response.write(BLOB.subarray(from, from + bytes), () => response.destroy());
  return true;
}

test('a connection that breaks again and again', async () => {
  let breaks = 0;
  const host = await proxy((request, response) => {
    breaks += 1;
    return breaks <= 8 && sendSome(request, response, 1 << 20);
  });
  await fetchIt(clientOf(host));
  expect(isWhole()).toBe(true);
  expect(partials()).toEqual([]);
  expect(asked.slice(1).every((line) => / bytes=\d{5,}-$/.test(line))).toBe(true);
});

test('a server that cannot send parts sends all of it, of which the rest is taken', async () => {
  let isFirst = true;
  const host = await proxy((request, response) => {
    delete request.headers.range;
    if (!isFirst) return false;
    isFirst = false;
    return sendSome(request, response, 3 << 20);
  });
  await fetchIt(clientOf(host));
  expect(isWhole()).toBe(true);
});

test('a slow connection becomes four', async () => {
  let atOnce = 0;
  let most = 0;
  const host = await proxy(async (request, response) => {
    if (!request.headers.range) {
      response.writeHead(200, { 'content-length': size, 'accept-ranges': 'bytes' });
      response.write(BLOB.subarray(0, 1 << 20));
      const drip = setInterval(() => response.destroyed || response.write(BLOB.subarray(0, 1)), 20);
      response.on('close', () => clearInterval(drip));
      return true;
    }
    atOnce += 1;
    most = Math.max(most, atOnce);
    response.on('close', () => {
      atOnce -= 1;
    });
    return false;
  });
  // What drips is what stands there.
  const blob = Buffer.from(BLOB).fill(BLOB[0]!, 1 << 20, (1 << 20) + 4096);
  const filled = digestOf(blob);
  const url = `${registry.address}/v2/app/blobs/uploads/?digest=${filled}`;
  await fetch(url, { method: 'POST', body: blob });
  using writer = (await store.resume({ digest: filled, size }))!;
  await fetchBlob({ client: clientOf(host), digest: filled, size, partsAfterMs: 30 }, writer);
  expect(writer.commit().digest).toBe(filled);
  expect(most).toBe(4);
});

test('a killed process leaves what it had, and the next one goes on there', async () => {
  const host = await proxy((request, response) => {
    if (request.headers.range) return false;
    response.writeHead(200, { 'content-length': size, 'accept-ranges': 'bytes' });
    response.write(BLOB.subarray(0, 5 << 20));
    return true;
  });
  const child = fetchInOtherProcess(host);
  const file = (): string | undefined => partials()[0];
  const has = (): number =>
    file() ? statSync(join(scratch, 'store/content/partial', file()!)).size : 0;
  await expect.poll(has).toBe(5 << 20);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await fetchIt(clientOf(host));
  expect(isWhole()).toBe(true);
  expect(asked.at(-1)).toBe(`GET /v2/app/blobs/${digest} bytes=${5 << 20}-`);
});

test('several processes that want the same blob fetch it once', async () => {
  const host = await proxy(() => false);
  const children = Array.from({ length: 3 }, () => fetchInOtherProcess(host));
  const ends = await Promise.all(children.map((child) => once(child, 'exit')));
  expect(ends).toEqual(ends.map(() => [0, null]));
  expect(isWhole()).toBe(true);
  expect(asked).toHaveLength(1);
});

function fetchInOtherProcess(host: string) {
  const program = `
    import { ContentStore } from '../src/content/content-store.ts';
    import { parseReference } from '../src/references/reference.ts';
    import { fetchBlob } from '../src/registry/fetch-blob.ts';
    import { RegistryClient } from '../src/registry/registry-client.ts';
    const [digest, size] = ['${digest}', ${size}];
    const client = new RegistryClient(parseReference('${host}/app:latest'), { directories: [] });
    const store = new ContentStore('${join(scratch, 'store')}');
    using writer = await store.resume({ digest, size });
    if (writer) { await fetchBlob({ client, digest, size }, writer); writer.commit(); }`;
  return spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

test('what was left and is wrong is fetched again', async () => {
  mkdirSync(join(scratch, 'store/content/partial'), { recursive: true });
  writeFileSync(join(scratch, 'store/content/partial', digest.replace(':', '-')), 'rubbish');
  await expect(fetchIt(clientOf(new URL(registry.address).host))).rejects.toMatchObject({
    code: 'DIGEST_MISMATCH',
  });
  expect(partials()).toEqual([]);
  await fetchIt(clientOf(new URL(registry.address).host));
  expect(isWhole()).toBe(true);
});

test('what passes is tried again: 503, and 429 as long as it asks for', async () => {
  const waits: string[] = [];
  const answers = [503, 429, 502];
  const host = await proxy((_, response) => {
    const status = answers.shift();
    if (status === undefined) return false;
    response.writeHead(status, status === 429 ? { 'retry-after': '1' } : {}).end();
    return true;
  });
  const onWait = (reason: string, milliseconds: number): void => {
    waits.push(`${reason.replace(/.* status /, '')} ${milliseconds}`);
  };
  await fetchIt(clientOf(host, { onWait }));
  expect(waits).toEqual(['503 250', '429 1000', '502 1000']);
  expect(isWhole()).toBe(true);
});

test('a registry that wants us gone for an hour is told of at once', async () => {
  const host = await proxy((_, response) => {
    response.writeHead(429, { 'retry-after': '3600' }).end();
    return true;
  });
  await expect(fetchIt(clientOf(host))).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    hint: expect.stringContaining('3600 s'),
  });
  expect(asked).toHaveLength(1);
});

test('mirrors come first, with ns, and one that fails is not the end', async () => {
  const broken = await proxy((_, response) => {
    response.writeHead(500).end();
    return true;
  });
  const mirror = await proxy(() => false);
  const directory = join(scratch, 'certs.d/registry.example');
  mkdirSync(directory, { recursive: true });
  const lines = [broken, mirror].map((host) => `[host."http://${host}"]\ncapabilities = ["pull"]`);
  writeFileSync(
    join(directory, 'hosts.toml'),
    ['server = "http://127.0.0.1:9"', ...lines].join('\n'),
  );
  const options = { directories: [join(scratch, 'certs.d')] };
  await fetchIt(clientOf('registry.example', options));
  expect(isWhole()).toBe(true);
  expect(asked).toEqual(Array(2).fill(`GET /v2/app/blobs/${digest}?ns=registry.example`));
  const missing = clientOf('registry.example', options).blob(digestOf('other'));
  await expect(missing).rejects.toMatchObject({
    code: 'REGISTRY_UNREACHABLE',
    hint: expect.stringMatching(/asked before: GET .* status 500; GET .* status 404/),
  });
});
