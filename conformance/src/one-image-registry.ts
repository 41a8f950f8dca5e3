/**
 * A registry on loopback that serves one image: a static busybox, made of the host's own.
 *
 *   GET /v2/                                  it is a registry
 *   GET /v2/strata/busybox/manifests/latest   the manifest, or by its digest
 *   GET /v2/strata/busybox/blobs/sha256:...   config and layer
 *
 * So that a pull is real where no other registry can be reached.
 * @see distribution-spec, "Pull"
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const NAME = 'strata/busybox';
const APPLETS = ['sh', 'true', 'sleep', 'echo', 'cat', 'ls', 'id', 'hostname', 'ip', 'ping', 'seq'];
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

export const BUSYBOX = '/bin/busybox';
export const hasBusybox = existsSync(BUSYBOX);

export interface Blob {
  readonly type: string;
  readonly digest: string;
  readonly bytes: Uint8Array;
}

export interface OneImageRegistry extends AsyncDisposable {
  /** The image's name, for a pull. */
  readonly image: string;
}

/** Serves until it is disposed of. */
export async function serveOneImage(): Promise<OneImageRegistry> {
  const blobs = imageBlobs();
  const manifest = blobs.at(-1)!;
  const server = createServer((request, response) => {
    const [, kind, reference] =
      /^\/v2\/strata\/busybox\/(\w+)\/(.+)$/.exec(request.url ?? '') ?? [];
    const found =
      kind === 'manifests' && reference === 'latest'
        ? manifest
        : blobs.find(({ digest }) => digest === reference);
    if (!found) {
      response.writeHead(request.url === '/v2/' ? 200 : 404).end();
      return;
    }
    response.writeHead(200, {
      'content-type': found.type,
      'content-length': found.bytes.length,
      'docker-content-digest': found.digest,
    });
    response.end(request.method === 'HEAD' ? undefined : found.bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    image: `127.0.0.1:${port}/${NAME}:latest`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The same image as the files of an OCI layout: path and content. */
export function imageLayoutFiles(options: {
  annotations: Readonly<Record<string, string>>;
  command: readonly string[];
}): [string, Uint8Array | string][] {
  const blobs = imageBlobs(options.command);
  const { type, digest, bytes } = blobs.at(-1)!;
  const { annotations } = options;
  const manifests = [{ mediaType: type, digest, size: bytes.length, annotations }];
  return [
    ['oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' })],
    ['index.json', JSON.stringify({ schemaVersion: 2, manifests })],
    ...blobs.map((blob): [string, Uint8Array] => [
      `blobs/${blob.digest.replace(':', '/')}`,
      blob.bytes,
    ]),
  ];
}

/** Layer, config and, last, the manifest. */
function imageBlobs(command: readonly string[] = ['/bin/sh']): Blob[] {
  const tar = rootFileSystem();
  const layer = blob(LAYER_TYPE, gzipSync(tar));
  const config = blob(
    CONFIG_TYPE,
    json({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin'], Cmd: command },
      rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
    }),
  );
  const describe = ({ type, digest, bytes }: Blob) => ({
    mediaType: type,
    digest,
    size: bytes.length,
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: describe(config),
    layers: [describe(layer)],
  });
  return [layer, config, blob(MANIFEST_TYPE, manifest)];
}

function rootFileSystem(): Uint8Array {
  const root = mkdtempSync(join(tmpdir(), 'strata-image-'));
  try {
    for (const name of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev']) mkdirSync(join(root, name));
    copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
    for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet));
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
    const file = join(root, '..', `${root.split('/').at(-1)}.tar`);
    execFileSync('tar', ['--create', '--owner=0', '--group=0', '--file', file, '-C', root, '.']);
    const bytes = readFileSync(file);
    rmSync(file);
    return bytes;
  } finally {
    rmSync(root, { recursive: true });
  }
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const blob = (type: string, bytes: Uint8Array): Blob => ({ type, digest: digestOf(bytes), bytes });
