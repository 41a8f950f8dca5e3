/** Images from everywhere to everywhere, with skopeo as the one who reads and writes the same. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Image } from '../src/images/image.ts';
import { Images } from '../src/images/images.ts';
import { OCI_INDEX } from '../src/images/manifest.ts';
import { parseReference } from '../src/references/reference.ts';
import { RegistryServer } from '../src/registry-server/registry-server.ts';
import { openState, type StateDatabase } from '../src/state/state-database.ts';
import { copyImage } from '../src/transports/copy-image.ts';
import { openDestination, openSource } from '../src/transports/open-place.ts';
import { RegistryDestination } from '../src/transports/registry-transport.ts';
import { parsePlace } from '../src/transports/transport.ts';

const hasSkopeo = spawnSync('skopeo', ['--version']).error === undefined;
const MAIN = join(import.meta.dirname, '../src/main.ts');

let scratch: string;
let registry: RegistryServer;
let host: string;
let state: StateDatabase;
let images: Images;
let made: Image;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'strata-copying-'));
  registry = await RegistryServer.open({ directory: join(scratch, 'registry') });
  host = new URL(registry.address).host;
  state = openState(join(scratch, 'store/state.db'));
  images = Images.open({ root: join(scratch, 'store'), state });
  made = await images.fromHost('tools:v1', ['true']);
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  state.close();
  rmSync(scratch, { recursive: true });
});

async function copy(from: string, to: string, all = false): Promise<string> {
  return images.adding(async () => {
    await using source = await openSource(parsePlace(from), { images, directories: [] });
    await using destination = openDestination(parsePlace(to), { images, directories: [] });
    return (await copyImage(source, destination, { all })).digest;
  });
}

async function skopeo(...args: string[]): Promise<string> {
  const child = spawn('skopeo', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`skopeo ${args.join(' ')}: ${output}`);
  return output;
}

/** Config digests are the identity of images: the same everywhere, whatever the manifest is like. */
const idOf = async (place: string): Promise<string> => {
  const insecure = place.startsWith('docker:') ? ['--tls-verify=false'] : [];
  const raw = await skopeo('inspect', ...insecure, '--raw', place);
  return JSON.parse(raw).config.digest;
};

const PLACES = ['docker', 'oci', 'oci-archive', 'docker-archive', 'dir'] as const;
const place = (transport: string, name: string): string =>
  transport === 'docker'
    ? `docker://${host}/${name}:v1`
    : transport === 'dir'
      ? `dir:${scratch}/${name}`
      : `${transport}:${scratch}/${name}:${transport === 'docker-archive' ? `example.test/${name}:v1` : 'v1'}`;

describe.each(PLACES)('%s', (transport) => {
  test('takes an image, and gives back the same', async () => {
    const there = place(transport, `plain-${transport}`);
    await copy('strata:tools:v1', there);
    await copy(there, `strata:back-${transport}:v1`);
    expect(images.status(`back-${transport}:v1`)!.id).toBe(made.id);
  });

  test.skipIf(!hasSkopeo)('skopeo reads what we write, and we read what it writes', async () => {
    const ours = place(transport, `ours-${transport}`);
    await copy('strata:tools:v1', ours);
    if (transport !== 'docker-archive') expect(await idOf(ours)).toBe(made.id);
    const theirs = place(transport, `theirs-${transport}`);
    const flags = ['--insecure-policy', '--src-tls-verify=false', '--dest-tls-verify=false'];
    await skopeo('copy', ...flags, ours, theirs);
    await copy(theirs, `strata:skopeo-${transport}:v1`);
    expect(images.status(`skopeo-${transport}:v1`)!.config.diffIds).toEqual(made.config.diffIds);
  });
});

test('a layout takes further images, and one of the same tag in place of the old', async () => {
  const other = await images.fromHost('other:v1', ['false']);
  for (const [name, tag] of [
    ['tools', 'a'],
    ['other', 'b'],
    ['other', 'a'],
  ]) {
    await copy(`strata:${name}:v1`, `oci:${scratch}/many:${tag}`);
  }
  await copy(`oci:${scratch}/many:a`, 'strata:from-many:v1');
  expect(images.status('from-many:v1')!.id).toBe(other.id);
  await expect(copy(`oci:${scratch}/many`, 'strata:x:v1')).rejects.toThrow(/has 2 images, not one/);
  await expect(copy(`oci:${scratch}/many:c`, 'strata:x:v1')).rejects.toThrow(
    /has 0 images named c/,
  );
  expect(readdirSync(join(scratch, 'many')).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
});

describe('an index', () => {
  let index: string;
  beforeAll(async () => {
    const manifest = await copy('strata:tools:v1', `docker://${host}/multi:one`);
    const response = await fetch(`http://${host}/v2/multi/manifests/one`);
    const { length: size } = Buffer.from(await response.arrayBuffer());
    const mediaType = response.headers.get('content-type');
    const entry = (architecture: string) => ({
      mediaType,
      digest: manifest,
      size,
      platform: { os: 'linux', architecture },
    });
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [entry('amd64'), entry('arm64')],
    });
    const put = await fetch(`http://${host}/v2/multi/manifests/all`, {
      method: 'PUT',
      headers: { 'content-type': OCI_INDEX },
      body,
    });
    index = put.headers.get('docker-content-digest')!;
  });

  test('is copied whole, and has the same digest', async () => {
    expect(await copy(`docker://${host}/multi:all`, `docker://${host}/copied:all`, true)).toBe(
      index,
    );
    const digest = await copy(`docker://${host}/multi:all`, `oci:${scratch}/multi:all`, true);
    expect(digest).toBe(index);
    expect(await copy(`oci:${scratch}/multi:all`, `docker://${host}/again:all`, true)).toBe(index);
  });

  test('otherwise this machine’s image is', async () => {
    expect(await copy(`docker://${host}/multi:all`, `docker://${host}/one:v1`)).not.toBe(index);
    await expect(
      copy(`docker://${host}/multi:all`, `docker-archive:${scratch}/index.tar`, true),
    ).rejects.toThrow(/has no indexes/);
    expect(existsSync(join(scratch, 'index.tar'))).toBe(false);
  });
});

/** A registry before the registry, which writes down what it is asked. */
async function listening(): Promise<{ asked: string[]; host: string } & Disposable> {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = await fetch(`http://${host}${request.url}`, {
      method: request.method!,
      headers: request.headers['content-type']
        ? { 'content-type': request.headers['content-type'] }
        : {},
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    });
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    asked,
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

test('what the registry has is not sent: not twice, and not from one repository to another', async () => {
  using proxy = await listening();
  const sent = (): string[] => proxy.asked.splice(0).filter((line) => /PUT .*digest=/.test(line));
  await copy('strata:tools:v1', `docker://${proxy.host}/mount/one:v1`);
  expect(sent()).toHaveLength(2);
  await copy('strata:tools:v1', `docker://${proxy.host}/mount/one:v2`);
  expect(sent()).toEqual([]);
  await copy(`docker://${proxy.host}/mount/one:v1`, `docker://${proxy.host}/mount/two:v1`);
  expect(proxy.asked.some((line) => /POST .*mount=sha256.*from=mount%2Fone/.test(line))).toBe(true);
  expect(sent()).toEqual([]);
  await fetch(`http://${host}/v2/mount/two/manifests/v1`).then(({ status }) =>
    expect(status).toBe(200),
  );
});

test('a blob that is not what its name says is refused everywhere, and nothing has a name', async () => {
  await copy('strata:tools:v1', `oci:${scratch}/damaged:v1`);
  const blobs = join(scratch, 'damaged/blobs/sha256');
  const layer = readdirSync(blobs)
    .map((name) => join(blobs, name))
    .find((file) => readFileSync(file)[0] !== 0x7b)!;
  const bytes = readFileSync(layer);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(layer, bytes);
  for (const transport of PLACES) {
    const there = place(transport, `damaged-${transport}`);
    await expect(copy(`oci:${scratch}/damaged:v1`, there)).rejects.toThrow(
      /DIGEST_INVALID|has the digest/,
    );
  }
  using otherState = openState(join(scratch, 'other/state.db'));
  const other = Images.open({ root: join(scratch, 'other'), state: otherState });
  await using source = await openSource(parsePlace(`oci:${scratch}/damaged:v1`), {});
  const taking = other.adding(() => copyImage(source, other.destination('damaged:v1')));
  await expect(taking).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  expect(other.list()).toEqual([]);
  expect(other.content.list()).toEqual([]);
  expect((await fetch(`http://${host}/v2/damaged-docker/manifests/v1`)).status).toBe(404);
  expect(readdirSync(scratch).filter((name) => /strata-\d|tar-\d/.test(name))).toEqual([]);
});

test('credentials are sent to the registry alone, by name and password or by a token', async () => {
  const credentials = { username: 'me', password: 'secret' };
  await using closed = await RegistryServer.open({
    directory: join(scratch, 'closed'),
    credentials,
  });
  const closedHost = new URL(closed.address).host;
  const home = join(scratch, 'home');
  const strata = (args: string[], input = ''): Promise<{ code: number; output: string }> =>
    runStrata(args, { HOME: home, DOCKER_CONFIG: join(home, '.docker') }, input);
  const pushIt = [
    '--root',
    join(scratch, 'store'),
    'push',
    '-q',
    'tools:v1',
    `${closedHost}/app:v1`,
  ];
  expect(await strata(pushIt)).toMatchObject({
    code: 1,
    output: expect.stringMatching(/asks for a name and a password[\s\S]*strata login/),
  });
  const login = ['login', '-u', 'me', '--password-stdin', closedHost];
  expect((await strata(login, 'wrong\n')).code).toBe(1);
  expect(existsSync(join(home, '.docker/config.json'))).toBe(false);
  expect(await strata(login, 'secret\n')).toMatchObject({ code: 0 });
  expect((await strata(pushIt)).code).toBe(0);
  expect((await strata(['logout', closedHost])).output).toContain('forgotten');
  expect((await strata(pushIt)).code).toBe(1);
}, 60_000);

function runStrata(
  args: readonly string[],
  env: Record<string, string>,
  input: string,
): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  child.stdin.end(input);
  return once(child, 'close').then(([code]) => ({ code, output }));
}

test('a token is asked for what is done, and renewed by what docker keeps', async () => {
  const scopes: string[][] = [];
  using proxy = await listening();
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://x');
    if (url.pathname === '/token') {
      scopes.push(url.searchParams.getAll('scope'));
      const isMe =
        request.headers.authorization === `Basic ${Buffer.from('me:secret').toString('base64')}`;
      response.writeHead(isMe ? 200 : 401).end(JSON.stringify({ token: `t${scopes.length}` }));
    } else if (!/^Bearer t/.test(request.headers.authorization ?? '')) {
      const realm = `http://${request.headers.host}/token`;
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="s"` }).end();
    } else {
      response.writeHead(307, { location: `http://${proxy.host}${request.url}` }).end();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const reference = parseReference(
      `127.0.0.1:${(server.address() as AddressInfo).port}/tok/app:v1`,
    );
    const credentials = { username: 'me', password: 'secret' };
    await using destination = new RegistryDestination(reference, { credentials, directories: [] });
    await using source = images.source('tools:v1');
    await copyImage(source, destination);
    expect(scopes).toEqual([['repository:tok/app:pull,push']]);
    expect((await fetch(`http://${host}/v2/tok/app/manifests/v1`)).status).toBe(200);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

const hasRegistry = spawnSync('docker-registry', ['--version']).error === undefined;

test.skipIf(!hasRegistry)(
  'Debian’s docker-registry takes what we push',
  { timeout: 60_000 },
  async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    const config = join(scratch, 'config.yml');
    writeFileSync(
      config,
      `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${scratch}/theirs}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
    );
    const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
    try {
      const isUp = () =>
        fetch(`http://127.0.0.1:${port}/v2/`).then(
          ({ ok }) => ok,
          () => false,
        );
      await expect.poll(isUp).toBe(true);
      await copy('strata:tools:v1', `docker://127.0.0.1:${port}/team/app:v1`);
      await copy(
        `docker://127.0.0.1:${port}/team/app:v1`,
        `docker://127.0.0.1:${port}/other/app:v1`,
      );
      await copy(`docker://127.0.0.1:${port}/other/app:v1`, 'strata:from-theirs:v1');
      expect(images.status('from-theirs:v1')!.id).toBe(made.id);
    } finally {
      child.kill();
      await once(child, 'exit');
    }
  },
);

test.each(['nothing', 'docker:x', 'oci:', 'ftp:x', 'docker-archive::x'])(
  '%s is no place',
  (text) => {
    expect(() => parsePlace(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  },
);
