/**
 * Writes one image as an OCI image layout: a directory, or a tar archive of one.
 *
 * The archive of an image is always the same bytes. Both are made beside their place and renamed to
 * it, so that nobody ever reads half of one.
 */
import {
  constants,
  copyFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import type { ContentStore } from '../content/content-store.ts';
import { type Digest, layoutPath } from '../content/digest.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { invalidDocument } from '../images/json-fields.ts';
import { MAX_MANIFEST_BYTES, OCI_INDEX, parseManifest } from '../images/manifest.ts';
import { CONTAINERD_NAME, REF_NAME } from './import-layout.ts';
import { addFile, addText, writeArchive } from './write-archive.ts';

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
  await writeArchive(path, async (archive) => {
    addText(archive, 'oci-layout', MARKER);
    addText(archive, 'index.json', indexOf(options));
    for (const digest of blobsOf(options)) {
      await addFile(archive, layoutPath(digest), options.content.open(digest));
    }
  });
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
