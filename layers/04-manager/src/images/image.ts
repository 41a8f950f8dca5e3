/** What the manager tells about an image, and the image as its documents describe it. */
import type { ContentStore } from '../content/content-store.ts';
import type { Digest } from '../content/digest.ts';
import type { SnapshotLayer } from '../snapshots/snapshot-store.ts';
import type { Descriptor } from './descriptor.ts';
import { type ImageConfig, MAX_CONFIG_BYTES, parseImageConfig } from './image-config.ts';
import { invalidDocument } from './json-fields.ts';
import { MAX_MANIFEST_BYTES, type Manifest, parseManifest } from './manifest.ts';
import { choosePlatform, type Platform } from './platform.ts';

/** An image in the store. */
export interface Image {
  /** The digest of its configuration. */
  id: Digest;
  /** Full names with tags: 'docker.io/library/busybox:latest'. */
  tags: string[];
  /** Full names with digests, as a registry knows it. */
  digests: string[];
  /** Its manifest for this machine. */
  manifest: Digest;
  /** Bytes of manifest, configuration and compressed layers. */
  size: number;
  config: ImageConfig;
}

/** An image's documents, read and checked against each other. */
export interface ImageDocuments {
  /** This machine's manifest. */
  descriptor: Descriptor;
  config: ImageConfig;
  configDigest: Digest;
  layers: SnapshotLayer[];
  /** Bytes of manifest, configuration and compressed layers. */
  size: number;
}

/**
 * The descriptor of a platform's manifest, through as many indexes as lie above it.
 * @param read gives the bytes of a document, from the store or a registry
 * @throws {StrataError} INVALID_IMAGE, NO_SUCH_PLATFORM
 */
export async function resolveManifest(
  target: Descriptor,
  read: (descriptor: Descriptor) => Promise<Uint8Array> | Uint8Array,
  platform?: Platform,
): Promise<{ descriptor: Descriptor; manifest: Manifest; bytes: Uint8Array }> {
  let descriptor = target;
  for (let depth = 0; depth < MAX_INDEX_DEPTH; depth += 1) {
    const bytes = await read(descriptor);
    const document = parseManifest(bytes, descriptor.mediaType);
    if (document.kind === 'manifest') return { descriptor, manifest: document, bytes };
    descriptor = choosePlatform(document.manifests, platform);
  }
  throw invalidDocument('index', `refers to indexes more than ${MAX_INDEX_DEPTH} deep`);
}

/** An index of indexes is allowed and rare; more is an attack or a mistake. */
const MAX_INDEX_DEPTH = 4;

/**
 * Reads a manifest and its configuration from the store.
 * @throws {StrataError} INVALID_IMAGE, BLOB_NOT_FOUND, DIGEST_MISMATCH
 */
export function readDocuments(content: ContentStore, digest: Digest): ImageDocuments {
  const bytes = content.read(digest, MAX_MANIFEST_BYTES);
  const manifest = parseManifest(bytes);
  if (manifest.kind === 'index') throw invalidDocument('manifest', 'is an index');
  const config = parseImageConfig(content.read(manifest.config.digest, MAX_CONFIG_BYTES));
  return {
    descriptor: { mediaType: manifest.mediaType, digest, size: bytes.length },
    config,
    configDigest: manifest.config.digest,
    layers: pairLayers(manifest, config),
    size: imageSize(bytes.length, manifest),
  };
}

/** Each layer's blob with its diff id. @throws {StrataError} INVALID_IMAGE if the numbers differ */
export function pairLayers(manifest: Manifest, config: ImageConfig): SnapshotLayer[] {
  const { diffIds } = config;
  if (manifest.layers.length !== diffIds.length) {
    const numbers = `${manifest.layers.length} layers and ${diffIds.length} diff ids`;
    throw invalidDocument('rootfs.diff_ids', `does not fit the manifest: ${numbers}`);
  }
  return manifest.layers.map(({ digest, mediaType }, at) => ({
    digest,
    mediaType,
    diffId: diffIds[at]!,
  }));
}

const imageSize = (manifestBytes: number, { config, layers }: Manifest): number =>
  layers.reduce((sum, { size }) => sum + size, manifestBytes + config.size);
