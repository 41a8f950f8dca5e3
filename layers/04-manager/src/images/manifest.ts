/**
 * Manifests and indexes: the documents an image consists of above its layers.
 *
 *   index ──▶ manifest (one per platform) ──▶ configuration
 *                                        └──▶ layer, layer, ...
 *
 * OCI and Docker v2.2 documents are the same but for their media types. A document that could be
 * read as both a manifest and an index is refused: two programs would see two images in it.
 * @see https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
 */
import { type Descriptor, parseDescriptor } from './descriptor.ts';
import {
  arrayOf,
  invalidDocument,
  type JsonObject,
  jsonObject,
  optionalString,
  parseJson,
} from './json-fields.ts';

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_INDEX = 'application/vnd.docker.distribution.manifest.list.v2+json';

export const MANIFEST_TYPES: readonly string[] = [OCI_MANIFEST, DOCKER_MANIFEST];
export const INDEX_TYPES: readonly string[] = [OCI_INDEX, DOCKER_INDEX];

const CONFIG_TYPES = [OCI_CONFIG, 'application/vnd.docker.container.image.v1+json'];

/** The limit registries have agreed on. @see distribution-spec, "Pushing Manifests" */
export const MAX_MANIFEST_BYTES = 4 * 2 ** 20;
/** Overlayfs takes at most 500 lower directories. */
const MAX_LAYERS = 500;
const MAX_MANIFESTS = 1000;

export interface Manifest {
  kind: 'manifest';
  mediaType: string;
  config: Descriptor;
  layers: readonly Descriptor[];
}

export interface Index {
  kind: 'index';
  manifests: readonly Descriptor[];
}

/**
 * Reads a manifest or an index.
 * @param announced the media type by which the one who refers to it does so; only a document that
 *   was checked against it before may be read without
 * @throws {StrataError} INVALID_IMAGE, INVALID_DIGEST
 */
export function parseManifest(bytes: Uint8Array, announced?: string): Manifest | Index {
  const object = jsonObject(parseJson(bytes, 'manifest'), 'manifest');
  const own = optionalString(object.mediaType, 'manifest.mediaType');
  const mediaType = announced ?? own ?? OCI_MANIFEST;
  const isIndex = INDEX_TYPES.includes(mediaType);
  if (!isIndex && !MANIFEST_TYPES.includes(mediaType)) {
    throw invalidDocument('manifest', `has the media type ${JSON.stringify(mediaType)}`);
  }
  const what = isIndex ? 'index' : 'manifest';
  if (own !== undefined && own !== mediaType) {
    throw invalidDocument(`${what}.mediaType`, `is ${own}, and it was announced as ${mediaType}`);
  }
  if (object.schemaVersion !== 2) {
    throw invalidDocument(
      `${what}.schemaVersion`,
      `is ${JSON.stringify(object.schemaVersion)}, not 2`,
    );
  }
  const foreign = isIndex ? ['config', 'layers'] : ['manifests'];
  const ambiguous = foreign.find((field) => object[field] !== undefined);
  if (ambiguous) throw invalidDocument(what, `has a field ${ambiguous}, which is not for it`);
  return isIndex ? readIndex(object.manifests) : readManifest(object, mediaType);
}

function readIndex(value: unknown): Index {
  const items = arrayOf(value, 'index.manifests', MAX_MANIFESTS);
  return {
    kind: 'index',
    manifests: items.map((item, at) => parseDescriptor(item, `index.manifests[${at}]`)),
  };
}

function readManifest(object: JsonObject, mediaType: string): Manifest {
  const config = parseDescriptor(object.config, 'manifest.config');
  if (!CONFIG_TYPES.includes(config.mediaType)) {
    throw invalidDocument('manifest.config', `is ${config.mediaType}: this is no container image`);
  }
  const layers = arrayOf(object.layers, 'manifest.layers', MAX_LAYERS);
  return {
    kind: 'manifest',
    mediaType,
    config,
    layers: layers.map((item, at) => parseDescriptor(item, `manifest.layers[${at}]`)),
  };
}
