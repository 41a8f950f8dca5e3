/**
 * Writes one image as an OCI image layout: a directory, or a tar archive of one.
 *
 * The archive of an image is always the same bytes. Both are made beside their place and renamed to
 * it, so that nobody ever reads half of one.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  createReadStream,
  createWriteStream,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { StrataError } from '@strata/namespaces';
import { type Pack, pack } from 'tar-stream';
import type { ContentStore } from '../content/content-store.ts';
import { type Digest, layoutPath } from '../content/digest.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { invalidDocument } from '../images/json-fields.ts';
import { MAX_MANIFEST_BYTES, OCI_INDEX, parseManifest } from '../images/manifest.ts';
import { CONTAINERD_NAME, REF_NAME } from './import-layout.ts';

export interface ExportOptions {
  content: ContentStore;
  manifest: Descriptor;
  /** The image's full name, written into the layout. */
  name: string;
  path: string;
}

const MARKER = JSON.stringify({ imageLayoutVersion: '1.0.0' });

/** @throws {StrataError} ALREADY_EXISTS, BLOB_NOT_FOUND */
export function exportDirectory(options: ExportOptions): void {
  const { content, path } = options;
  refuseExisting(path);
  const partial = partialPath(path);
  const digests = blobsOf(options);
  mkdirSync(partial, { recursive: true });
  try {
    writeFileSync(join(partial, 'oci-layout'), MARKER);
    writeFileSync(join(partial, 'index.json'), indexOf(options));
    for (const digest of digests) {
      const target = join(partial, layoutPath(digest));
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(content.path(digest), target, constants.COPYFILE_FICLONE);
    }
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw error;
  }
}

/** @throws {StrataError} ALREADY_EXISTS, BLOB_NOT_FOUND */
export async function exportArchive(options: ExportOptions): Promise<void> {
  const { path } = options;
  refuseExisting(path);
  const partial = partialPath(path);
  const archive = pack();
  const filling = fill(archive, options).catch((error) => archive.destroy(error));
  try {
    await pipeline(archive, createWriteStream(partial, { flags: 'wx', mode: 0o644 }));
    await filling;
    syncFile(partial);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

async function fill(archive: Pack, options: ExportOptions): Promise<void> {
  const { content } = options;
  const common = { mtime: new Date(0), uid: 0, gid: 0, mode: 0o644 };
  archive.entry({ ...common, name: 'oci-layout' }, MARKER);
  archive.entry({ ...common, name: 'index.json' }, indexOf(options));
  for (const digest of blobsOf(options)) {
    const fd = content.open(digest);
    const size = content.size(digest)!;
    const sink = archive.entry({ ...common, name: layoutPath(digest), size });
    await pipeline(createReadStream('', { fd, highWaterMark: 1 << 18 }), sink);
  }
  archive.finalize();
}

function indexOf({ manifest, name }: ExportOptions): string {
  const { mediaType, digest, size } = manifest;
  const tag = /:([\w.-]+)$/.exec(name)?.[1];
  const annotations = { [CONTAINERD_NAME]: name, ...(tag && { [REF_NAME]: tag }) };
  const manifests = [{ mediaType, digest, size, annotations }];
  return JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
}

/** Manifest, configuration and layers, each once and in one order. */
function blobsOf({ content, manifest }: ExportOptions): Digest[] {
  const bytes = content.read(manifest.digest, MAX_MANIFEST_BYTES);
  const document = parseManifest(bytes, manifest.mediaType);
  if (document.kind === 'index') throw invalidDocument('manifest', 'is an index');
  const parts = [document.config, ...document.layers].map(({ digest }) => digest);
  return [...new Set([manifest.digest, ...parts])].sort();
}

function refuseExisting(path: string): void {
  if (!statSync(path, { throwIfNoEntry: false })) return;
  throw new StrataError('ALREADY_EXISTS', `${path} is there already`, { path });
}

const partialPath = (path: string): string =>
  join(dirname(path), `.strata-export-${process.pid}-${Date.now()}`);

function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
