/** Registries that answer rubbish: a clear error with host, path and reason, and nothing stored. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestOf } from '../src/content/digest.ts';
import { Images } from '../src/images/images.ts';
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '../src/images/manifest.ts';
import { hostPlatform } from '../src/images/platform.ts';
import { LAYER_GZIP, LAYER_TAR } from '../src/layers/layer-media.ts';
import { openState, type StateDatabase } from '../src/state/state-database.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let scratch: string;
let state: StateDatabase;
let images: Images;
let servers: Server[];
/** The answers of the registry by path; paths without one get 404. */
let answers: Record<string, Answer>;
let host: string;

async function serve(answerOf: (path: string) => Answer | undefined): Promise<string> {
  const server = createServer((request, response) => {
    const answer = answerOf(request.url!);
    if (answer) answer(request, response);
    else response.writeHead(404).end('{"errors":[{"code":"UNKNOWN","message":"no such thing"}]}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'strata-hostile-'));
  state = openState(join(scratch, 'state.db'));
  images = Images.open({ root: scratch, state });
  servers = [];
  answers = {};
  host = await serve((path) => answers[path.split('?')[0]!]);
});
afterEach(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  state.close();
  rmSync(scratch, { recursive: true });
});

/** Nothing half-stored: no name, no blob, no file being written, no snapshot. */
function expectNothing(): void {
  expect(images.list()).toEqual([]);
  expect(images.content.list()).toEqual([]);
  expect(readdirSync(join(scratch, 'content', 'ingest'))).toEqual([]);
  expect(images.snapshots.list()).toEqual([]);
  expect(readdirSync(join(scratch, 'snapshots', '.scratch'))).toEqual([]);
}

const send =
  (body: string | Buffer, type = OCI_MANIFEST, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-type': type, ...headers }).end(body);
  };

const MANIFEST_PATH = '/v2/app/manifests/latest';
const blobPath = (content: string | Buffer): string => `/v2/app/blobs/${digestOf(content)}`;
const describe = (content: string | Buffer, mediaType: string): object => ({
  mediaType,
  digest: digestOf(content),
  size: Buffer.byteLength(content),
});

/** An empty tar archive: a valid layer. */
const EMPTY_TAR = Buffer.alloc(1024);
/** A tar archive with random bytes in it, so that compression does not make it small. */
const layer = gzipSync(EMPTY_TAR);

/** A valid image of one layer; parts can be replaced. */
function offer(
  parts: { layer?: Buffer; mediaType?: string; diffIds?: string[]; config?: string } = {},
): string {
  const bytes = parts.layer ?? layer;
  const config =
    parts.config ??
    JSON.stringify({
      ...hostPlatform(),
      config: {},
      rootfs: { type: 'layers', diff_ids: parts.diffIds ?? [digestOf(EMPTY_TAR)] },
    });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: describe(config, OCI_CONFIG),
    layers: [describe(bytes, parts.mediaType ?? LAYER_GZIP)],
  });
  answers[MANIFEST_PATH] = send(manifest);
  answers[blobPath(config)] = send(config, 'application/octet-stream');
  answers[blobPath(bytes)] = send(bytes, 'application/octet-stream');
  return manifest;
}

const pull = (options = {}): Promise<unknown> => images.pull(`${host}/app`, options);

test('the image these tests are about is good as it is', async () => {
  offer();
  await pull();
  expect(images.list()).toHaveLength(1);
});

const cases: [string, () => void, string, RegExp][] = [
  [
    'no such image',
    () => {},
    'NOT_IN_REGISTRY',
    /manifests\/latest: status 404: UNKNOWN: no such thing/,
  ],
  [
    'HTML',
    () => {
      answers[MANIFEST_PATH] = send('<html>', 'text/html');
    },
    'REGISTRY_ERROR',
    /of type "text\/html", not an image manifest/,
  ],
  [
    'no type',
    () => {
      answers[MANIFEST_PATH] = (_, response) => {
        response.end('{}');
      };
    },
    'REGISTRY_ERROR',
    /of type ""/,
  ],
  [
    'no JSON',
    () => {
      answers[MANIFEST_PATH] = send('\0\x01rubbish');
    },
    'INVALID_IMAGE',
    /manifest is not JSON/,
  ],
  [
    'JSON of another kind',
    () => {
      answers[MANIFEST_PATH] = send('[1]');
    },
    'INVALID_IMAGE',
    /manifest is a list/,
  ],
  [
    'an old manifest',
    () => {
      answers[MANIFEST_PATH] = send(
        '{"schemaVersion":1}',
        'application/vnd.docker.distribution.manifest.v1+json',
      );
    },
    'REGISTRY_ERROR',
    /manifest.v1/,
  ],
  [
    'a huge manifest',
    () => {
      answers[MANIFEST_PATH] = send(' '.repeat(5 << 20));
    },
    'REGISTRY_ERROR',
    /more than 4194304 bytes/,
  ],
  [
    'another digest than announced',
    () => {
      const text = offer();
      answers[MANIFEST_PATH] = send(text, OCI_MANIFEST, { 'docker-content-digest': digestOf('x') });
    },
    'DIGEST_MISMATCH',
    /manifests\/latest: the manifest has the digest/,
  ],
  [
    'an error',
    () => {
      answers[MANIFEST_PATH] = (_, response) => {
        response.writeHead(500).end('<h1>oops');
      };
    },
    'REGISTRY_ERROR',
    /status 500$/,
  ],
  [
    'a closed connection',
    () => {
      answers[MANIFEST_PATH] = (request) => {
        request.socket.destroy();
      };
    },
    'REGISTRY_UNREACHABLE',
    /GET http:\/\/127.0.0.1:\d+\/v2\/app\/manifests\/latest: /,
  ],
  [
    'endless redirects',
    () => {
      answers[MANIFEST_PATH] = (_, response) => {
        response.writeHead(302, { location: MANIFEST_PATH }).end();
      };
    },
    'REGISTRY_ERROR',
    /redirects more than 5 times/,
  ],
  [
    'a redirect to a file',
    () => {
      answers[MANIFEST_PATH] = (_, response) => {
        response.writeHead(302, { location: 'file:///etc/passwd' }).end();
      };
    },
    'REGISTRY_ERROR',
    /redirects to "file:/,
  ],
  [
    'a missing layer',
    () => {
      offer();
      delete answers[blobPath(layer)];
    },
    'NOT_IN_REGISTRY',
    /blobs\/sha256:[0-9a-f]+: status 404/,
  ],
  [
    'another layer of the same size',
    () => {
      offer();
      answers[blobPath(layer)] = send(Buffer.alloc(layer.length));
    },
    'DIGEST_MISMATCH',
    /has the digest/,
  ],
  [
    'a layer that is too long',
    () => {
      offer();
      answers[blobPath(layer)] = send(Buffer.alloc(1 << 20));
    },
    'SIZE_MISMATCH',
    /more than the \d+ bytes that were announced/,
  ],
  [
    'a layer that is too short',
    () => {
      offer();
      answers[blobPath(layer)] = send(layer.subarray(0, 5));
    },
    'SIZE_MISMATCH',
    /has 5 of the \d+ bytes/,
  ],
  [
    'a truncated layer',
    () => {
      offer();
      answers[blobPath(layer)] = (request, response) => {
        response.writeHead(200, { 'content-length': layer.length });
        response.write(layer.subarray(0, 9), () => request.socket.destroy());
      };
    },
    'REGISTRY_ERROR',
    /blobs\/sha256:[0-9a-f]+: the answer broke off after 9 of \d+ bytes/,
  ],
  [
    'a layer that is no archive',
    () => {
      offer({ layer: Buffer.alloc(700, 'x'), mediaType: LAYER_TAR });
    },
    'INVALID_LAYER',
    /cannot be read/,
  ],
  [
    'a layer that is not what the configuration says',
    () => {
      offer({ diffIds: [digestOf('x')] });
    },
    'DIGEST_MISMATCH',
    /has the content of/,
  ],
  [
    'fewer layers than the configuration says',
    () => {
      offer({ diffIds: [] });
    },
    'INVALID_IMAGE',
    /1 layers and 0 diff ids/,
  ],
  [
    'a layer of an unknown kind',
    () => {
      offer({ mediaType: 'application/x-thing' });
    },
    'UNSUPPORTED_MEDIA_TYPE',
    /"application\/x-thing"/,
  ],
  [
    'a configuration that is not JSON',
    () => {
      offer({ config: 'rubbish' });
    },
    'INVALID_IMAGE',
    /configuration is not JSON/,
  ],
  [
    'an image for other machines',
    () => {
      const only = {
        ...describe('x', OCI_MANIFEST),
        platform: { os: 'plan9', architecture: 'mips' },
      };
      answers[MANIFEST_PATH] = send(
        JSON.stringify({ schemaVersion: 2, manifests: [only] }),
        OCI_INDEX,
      );
    },
    'NO_SUCH_PLATFORM',
    /nothing for linux/,
  ],
];

test.each(cases)('%s', async (_, arrange, code, message) => {
  arrange();
  await expect(pull()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expectNothing();
});

test('a registry that is not there, and a name that is none', async () => {
  const gone = servers[0]!;
  gone.close();
  await once(gone, 'close');
  await expect(pull()).rejects.toMatchObject({
    code: 'REGISTRY_UNREACHABLE',
    message: expect.stringContaining('ECONNREFUSED'),
  });
  await expect(images.pull('http://x/y')).rejects.toMatchObject({ code: 'INVALID_REFERENCE' });
});

/** Answers 401 with the challenge unless the request has the right header. */
const guarded =
  (authorization: string, challenge: string, answer: Answer): Answer =>
  (request, response) => {
    if (request.headers.authorization === authorization) answer(request, response);
    else response.writeHead(401, { 'www-authenticate': challenge }).end();
  };

test('fetches an anonymous token where it is told, for reading this repository only', async () => {
  offer();
  let asked = '';
  const tokens = await serve(() => (request, response) => {
    asked = request.url!;
    expect(request.headers.authorization).toBeUndefined();
    response.end('{"token": "secret-token"}');
  });
  const challenge = `Bearer realm="http://${tokens}/token",service="s",scope="repository:other:push"`;
  for (const [path, answer] of Object.entries(answers)) {
    answers[path] = guarded('Bearer secret-token', challenge, answer);
  }
  await pull();
  expect(asked).toBe('/token?service=s&scope=repository%3Aapp%3Apull');
});

test('name and password: for basic authentication, and as an error where they are missing', async () => {
  offer();
  const authorization = `Basic ${Buffer.from('ann:pass').toString('base64')}`;
  for (const [path, answer] of Object.entries(answers)) {
    answers[path] = guarded(authorization, 'Basic realm="r"', answer);
  }
  await expect(pull()).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  await expect(pull({ credentials: { username: 'ann', password: 'wrong' } })).rejects.toMatchObject(
    {
      code: 'UNAUTHORIZED',
      message: expect.stringContaining('status 401'),
    },
  );
  expectNothing();
  await pull({ credentials: { username: 'ann', password: 'pass' } });
});

test('a token server that answers rubbish', async () => {
  for (const [body, message] of [
    ['', /not JSON/],
    ['null', /no token/],
    ['{"token": "a\\nb"}', /no token/],
    ['x'.repeat(2 << 20), /more than/],
  ] as const) {
    const tokens = await serve(() => (_, response) => response.end(body));
    answers[MANIFEST_PATH] = guarded('never', `Bearer realm="http://${tokens}/"`, send(''));
    await expect(pull()).rejects.toThrow(message);
  }
  answers[MANIFEST_PATH] = guarded('never', 'Bearer realm="file:///etc/passwd"', send(''));
  await expect(pull()).rejects.toThrow(/sends us to "file:/);
  expectNothing();
});

test('credentials do not follow a redirect to another host', async () => {
  offer();
  const seen: (string | undefined)[] = [];
  const stored = answers[blobPath(layer)]!;
  const storage = await serve(() => (request, response) => {
    seen.push(request.headers.authorization);
    stored(request, response);
  });
  answers[blobPath(layer)] = (_, response) => {
    response.writeHead(307, { location: `http://${storage}/blob?signature=secret` }).end();
  };
  const authorization = `Basic ${Buffer.from('ann:pass').toString('base64')}`;
  for (const [path, answer] of Object.entries(answers)) {
    answers[path] = guarded(authorization, 'Basic realm="r"', answer);
  }
  await pull({ credentials: { username: 'ann', password: 'pass' } });
  expect(seen).toEqual([undefined]);
});

test('what a storage service signs is not in the error', async () => {
  offer();
  const storage = await serve(() => undefined);
  answers[blobPath(layer)] = (_, response) => {
    response.writeHead(307, { location: `http://${storage}/blob?signature=secret` }).end();
  };
  await expect(pull()).rejects.toThrow(`GET http://${storage}/blob: status 404`);
  await expect(pull()).rejects.not.toThrow('secret');
});
