/**
 * An image of one static busybox, made of the host's own: as blobs, or as an archive of an OCI layout.
 *
 * @see image-spec image-layout.md
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
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const APPLETS = [
  'sh',
  'true',
  'sleep',
  'echo',
  'cat',
  'ls',
  'id',
  'hostname',
  'ip',
  'ping',
  'seq',
  'tty',
  'stty',
  'grep',
  'kill',
  'touch',
];
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

export interface ImageOptions {
  /** The name that the archive gives it: what containerd and Podman import it as. */
  readonly name: string;
  readonly command?: readonly string[];
}

/** Writes the image as a tar archive of an OCI layout. */
export function writeImageArchive(path: string, { name, command }: ImageOptions): void {
  const layout = mkdtempSync(join(tmpdir(), 'strata-layout-'));
  try {
    // containerd goes by the first, Podman and skopeo by the second.
    const annotations = {
      'io.containerd.image.name': name,
      'org.opencontainers.image.ref.name': name,
    };
    for (const [file, bytes] of imageLayoutFiles(annotations, command)) {
      mkdirSync(dirname(join(layout, file)), { recursive: true });
      writeFileSync(join(layout, file), bytes);
    }
    execFileSync('tar', ['--create', '--file', path, '-C', layout, '.']);
  } finally {
    rmSync(layout, { recursive: true });
  }
}

/** The files of the layout: path and content. */
function imageLayoutFiles(
  annotations: Readonly<Record<string, string>>,
  command: readonly string[] | undefined,
): [string, Uint8Array | string][] {
  const blobs = imageBlobs(command);
  const { type, digest, bytes } = blobs.at(-1)!;
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

/** Writes its root file system alone, as a tar archive. */
export const writeRootArchive = (path: string): void => writeFileSync(path, rootFileSystem());

/** Layer, config and, last, the manifest. */
export function imageBlobs(command: readonly string[] = ['/bin/sh']): Blob[] {
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
