/** The registry, as its clients see it: skopeo, our own, and those that do not keep to the rules. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestOf } from '../src/content/digest.ts';
import { Images } from '../src/images/images.ts';
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '../src/images/manifest.ts';
import { RegistryServer } from '../src/registry-server/registry-server.ts';
import { openState } from '../src/state/state-database.ts';

let scratch: string;
let registry: RegistryServer;
const reported: unknown[] = [];
const open = (options = {}): Promise<RegistryServer> =>
  RegistryServer.open({
    directory: join(scratch, 'registry'),
    report: (error) => reported.push(error),
    ...options,
  });

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'strata-registry-server-'));
  registry = await open();
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
  expect(reported.splice(0)).toEqual([]);
});

const at = (path: string): string => `${registry.address}/v2/${path}`;
const blobFiles = (): string[] => readdirSync(join(scratch, 'registry/content/blobs/sha256'));
const unfinished = (): string[] => readdirSync(join(scratch, 'registry/content/ingest'));

async function codeOf(response: Response): Promise<string> {
  const { errors } = (await response.json()) as { errors: { code: string }[] };
  return `${response.status} ${errors[0]!.code}`;
}

async function pushBlob(name: string, content: string): Promise<string> {
  const digest = digestOf(content);
  const url = at(`${name}/blobs/uploads/?digest=${digest}`);
  const response = await fetch(url, { method: 'POST', body: content });
  expect(response.status).toBe(201);
  return digest;
}

const putManifest = (name: string, reference: string, document: object): Promise<Response> =>
  fetch(at(`${name}/manifests/${reference}`), {
    method: 'PUT',
    headers: { 'content-type': (document as { mediaType: string }).mediaType },
    body: JSON.stringify(document),
  });

function imageOf(config: string, more: object = {}): object {
  return {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: config, size: 2 },
    layers: [],
    ...more,
  };
}

const hasSkopeo = spawnSync('skopeo', ['--version']).error === undefined;

test.skipIf(!hasSkopeo)('skopeo pushes, Strata pulls: one image', { timeout: 60_000 }, async () => {
  using state = openState(join(scratch, 'store/state.db'));
  const images = Images.open({ root: join(scratch, 'store'), state });
  const made = await images.fromHost('tools', ['true']);
  await images.export('tools', `oci-archive:${scratch}/tools.tar`);
  const target = `${new URL(registry.address).host}/team/tools:v1`;
  const copy = spawn(
    'skopeo',
    [
      'copy',
      '-q',
      '--insecure-policy',
      '--dest-tls-verify=false',
      `oci-archive:${scratch}/tools.tar`,
      `docker://${target}`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  expect(await once(copy, 'exit')).toEqual([0, null]);
  images.remove('tools');
  expect((await images.pull(target)).id).toBe(made.id);
});

describe('uploads', () => {
  const content = 'x'.repeat(1000);
  const begin = async (): Promise<string> => {
    const response = await fetch(at('app/blobs/uploads/'), { method: 'POST' });
    expect(response.status).toBe(202);
    return registry.address + response.headers.get('location')!;
  };
  const patch = (url: string, body: string, range?: string): Promise<Response> =>
    fetch(url, { method: 'PATCH', body, headers: range ? { 'content-range': range } : {} });

  test('a chunk that does not follow is refused, and says where to go on', async () => {
    const url = await begin();
    expect((await patch(url, content.slice(0, 400), '0-399')).headers.get('range')).toBe('0-399');
    const early = await patch(url, content.slice(500), '500-999');
    expect(early.headers.get('range')).toBe('0-399');
    expect(await codeOf(early)).toBe('416 RANGE_INVALID');
    expect(await codeOf(await patch(url, 'abc', '400-999'))).toBe('400 SIZE_INVALID');
    await patch(url, content.slice(403), '403-999');
    const end = await fetch(`${url}?digest=${digestOf(content)}`, { method: 'PUT' });
    expect(await codeOf(end)).toBe('400 DIGEST_INVALID');
    expect(await codeOf(await fetch(url))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect([...unfinished(), ...blobFiles()]).toEqual([]);
  });

  test('what came before a connection broke counts', async () => {
    const url = await begin();
    const { host, pathname } = new URL(url);
    const [address, port] = host.split(':');
    const socket = connect(Number(port), address);
    socket.write(`PATCH ${pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n`);
    socket.write(content.slice(0, 700));
    const received = async (): Promise<string | null> => (await fetch(url)).headers.get('range');
    await expect.poll(received).toBe('0-699');
    expect(await codeOf(await patch(url, 'x'))).toBe('400 BLOB_UPLOAD_INVALID');
    socket.destroy();
    await expect
      .poll(async () => (await patch(url, content.slice(700), '700-999')).status)
      .toBe(202);
    const end = await fetch(`${url}?digest=${digestOf(content)}`, { method: 'PUT' });
    expect(end.status).toBe(201);
    expect(await (await fetch(registry.address + end.headers.get('location')!)).text()).toBe(
      content,
    );
  });

  test('one that is cancelled, and one of another repository', async () => {
    const url = await begin();
    const elsewhere = url.replace('/app/', '/other/');
    expect(await codeOf(await patch(elsewhere, 'x'))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(204);
    expect(await codeOf(await patch(url, 'x'))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect(unfinished()).toEqual([]);
  });
});

test('a blob is its repository’s own, until it is mounted; the last one to go takes it along', async () => {
  const digest = await pushBlob('one', 'content');
  const get = (name: string): Promise<Response> => fetch(at(`${name}/blobs/${digest}`));
  expect(await codeOf(await get('two'))).toBe('404 BLOB_UNKNOWN');
  const mount = (from: string): Promise<Response> =>
    fetch(at(`two/blobs/uploads/?mount=${digest}&from=${from}`), { method: 'POST' });
  expect((await mount('three')).status).toBe(202);
  expect((await mount('one')).status).toBe(201);
  const remove = async (name: string): Promise<void> => {
    expect((await fetch(at(`${name}/blobs/${digest}`), { method: 'DELETE' })).status).toBe(202);
  };
  await remove('one');
  expect(await (await get('two')).text()).toBe('content');
  await remove('two');
  expect(blobFiles()).toEqual([]);
});

test('tags come in pages, in an order without case', async () => {
  const config = await pushBlob('app', '{}');
  for (const tag of ['b', 'A', 'a', 'C', 'latest']) {
    expect((await putManifest('app', tag, imageOf(config))).status).toBe(201);
  }
  const seen: string[][] = [];
  for (let url: string | undefined = at('app/tags/list?n=2'); url; ) {
    const response: Response = await fetch(url);
    seen.push(((await response.json()) as { tags: string[] }).tags);
    const [, next] = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '') ?? [];
    url = next && registry.address + next;
  }
  expect(seen).toEqual([['A', 'a'], ['b', 'C'], ['latest']]);
  expect(await (await fetch(at('app/tags/list?n=0'))).json()).toEqual({ name: 'app', tags: [] });
  expect(await codeOf(await fetch(at('app/tags/list?n=-1')))).toBe('400 PAGINATION_NUMBER_INVALID');
  expect(await codeOf(await fetch(at('none/tags/list')))).toBe('404 NAME_UNKNOWN');
  expect(await (await fetch(at('_catalog'))).json()).toEqual({ repositories: ['app'] });
});

test('referrers by type, also of what is not there yet', async () => {
  const config = await pushBlob('app', '{}');
  const subject = { mediaType: OCI_MANIFEST, digest: digestOf('later'), size: 5 };
  const annotations = { who: 'me' };
  const pushed = await putManifest(
    'app',
    'signature',
    imageOf(config, { subject, artifactType: 'text/signature', annotations }),
  );
  expect(pushed.headers.get('oci-subject')).toBe(subject.digest);
  const list = async (query: string): Promise<{ manifests: object[] }> =>
    (await (await fetch(at(`app/referrers/${subject.digest}${query}`))).json()) as never;
  const digest = pushed.headers.get('docker-content-digest');
  const entry = { mediaType: OCI_MANIFEST, digest, artifactType: 'text/signature', annotations };
  expect((await list('')).manifests).toMatchObject([entry]);
  expect((await list('?artifactType=text/other')).manifests).toEqual([]);
  await fetch(at(`app/manifests/${digest}`), { method: 'DELETE' });
  expect((await list('')).manifests).toEqual([]);
  expect(await codeOf(await fetch(at('app/manifests/signature')))).toBe('404 MANIFEST_UNKNOWN');
});

test('documents that are refused', async () => {
  const config = await pushBlob('app', '{}');
  const missing = digestOf('missing');
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] };
  const cases: [string, object, string][] = [
    ['x', imageOf(missing), '404 MANIFEST_BLOB_UNKNOWN'],
    ['x', { ...imageOf(config), manifests: [] }, '400 MANIFEST_INVALID'],
    ['x', { ...index, layers: [] }, '400 MANIFEST_INVALID'],
    ['x', { ...index, schemaVersion: 1 }, '400 MANIFEST_INVALID'],
    ['x', { mediaType: 'text/html' }, '400 MANIFEST_INVALID'],
    [
      'x',
      { ...index, manifests: [{ mediaType: OCI_MANIFEST, digest: missing, size: 1 }] },
      '404 MANIFEST_BLOB_UNKNOWN',
    ],
    [missing, index, '400 DIGEST_INVALID'],
    ['sha256:abc', index, '400 DIGEST_INVALID'],
    ['.x', index, '400 MANIFEST_INVALID'],
  ];
  for (const [reference, document, expected] of cases) {
    expect(await codeOf(await putManifest('app', reference, document))).toBe(expected);
  }
  const huge = { ...index, annotations: { a: 'x'.repeat(5 * 2 ** 20) } };
  expect(await codeOf(await putManifest('app', 'x', huge))).toBe('413 MANIFEST_TOO_LARGE');
  expect(await (await fetch(at('app/tags/list'))).json()).toEqual({ name: 'app', tags: [] });
});

test.each([
  ['GET', '../../etc/passwd/manifests/x'],
  ['GET', '%2e%2e/%2e%2e/manifests/x'],
  ['GET', 'App/manifests/x'],
  ['GET', 'a//b/tags/list'],
  ['GET', `${'a/'.repeat(200)}b/tags/list`],
  ['GET', 'app/blobs/sha256:../../../lock'],
  ['GET', 'app/blobs/uploads/../../x'],
  ['POST', 'app/blobs/uploads/?mount=x&from=../..&digest=sha256:zz'],
  ['PATCH', 'app/manifests/x'],
  ['GET', 'nothing'],
])('%s /v2/%s is refused', async (method, path) => {
  const response = await fetch(at(path), { method });
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.status).toBeLessThan(500);
  expect(await codeOf(response)).toMatch(/^4\d\d [A-Z_]+$/);
  expect(unfinished()).toEqual([]);
});

test('who has no password sees nothing', async () => {
  const credentials = { username: 'me', password: 'secret' };
  await using closed = await open({ directory: join(scratch, 'closed'), credentials });
  const ask = (text?: string): Promise<Response> =>
    fetch(`${closed.address}/v2/`, {
      headers: text ? { authorization: `Basic ${Buffer.from(text).toString('base64')}` } : {},
    });
  expect((await ask()).headers.get('www-authenticate')).toMatch(/^Basic realm=/);
  expect(await codeOf(await ask('me:wrong'))).toBe('401 UNAUTHORIZED');
  expect((await ask('me:secret')).status).toBe(200);
});

test('two servers do not share a directory; a second run has what the first one had', async () => {
  await expect(open()).rejects.toMatchObject({ code: 'REGISTRY_IN_USE' });
  const config = await pushBlob('app', '{}');
  await putManifest('app', 'v1', imageOf(config));
  await fetch(at('app/blobs/uploads/'), { method: 'POST' });
  await registry[Symbol.asyncDispose]();
  registry = await open();
  expect((await fetch(at('app/manifests/v1'))).status).toBe(200);
  expect(unfinished()).toEqual([]);
});

test('killed at any moment, the command loses nothing that it has confirmed', async () => {
  const directory = join(scratch, 'killed');
  const program = join(import.meta.dirname, '../src/main.ts');
  const args = ['registry', 'serve', '--listen', '127.0.0.1:0', '--data', directory];
  const confirmed: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout, 'data');
    const base = `${String(line).trim()}/v2/app`;
    for (const digest of confirmed)
      expect((await fetch(`${base}/blobs/${digest}`)).status).toBe(200);
    const push = async (index: number): Promise<void> => {
      const body = `blob ${round} ${index} ${'x'.repeat(index * 1000)}`;
      const url = `${base}/blobs/uploads/?digest=${digestOf(body)}`;
      const response = await fetch(url, { method: 'POST', body });
      if (response.status === 201) confirmed.push(digestOf(body));
    };
    const pushes = Array.from({ length: 40 }, (_, index) => push(index).catch(() => undefined));
    await Promise.race(pushes);
    child.kill('SIGKILL');
    await Promise.all([...pushes, once(child, 'exit')]);
  }
  expect(confirmed.length).toBeGreaterThan(0);
  await using again = await open({ directory });
  for (const digest of confirmed) {
    const response = await fetch(`${again.address}/v2/app/blobs/${digest}`);
    expect(digestOf(await response.text())).toBe(digest);
  }
  expect(readdirSync(join(directory, 'content/ingest'))).toEqual([]);
  expect(readdirSync(join(directory, 'content/blobs/sha256'))).toHaveLength(
    new Set(confirmed).size,
  );
}, 60_000);

const hasOpenssl = spawnSync('openssl', ['version']).error === undefined;

test.skipIf(!hasOpenssl)('speaks TLS with a certificate that it is given', async () => {
  const [certificate, key] = [join(scratch, 'c.pem'), join(scratch, 'k.pem')];
  const made = spawnSync('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
    '-days',
    '1',
    '-keyout',
    key,
    '-out',
    certificate,
  ]);
  expect(made.status, String(made.stderr)).toBe(0);
  const tls = { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
  await using secure = await open({ directory: join(scratch, 'secure'), tls });
  const script = `fetch('${secure.address}/v2/').then((r) => console.log(r.status))`;
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: certificate };
  const child = spawn(process.execPath, ['-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  expect(String((await once(child.stdout, 'data'))[0])).toBe('200\n');
});
