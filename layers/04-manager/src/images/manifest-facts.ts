/**
 * What those who pass a manifest on have to know of it, a registry or a copy: which blobs and manifests
 * it needs, and what it says of itself to those who list referrers. They are more lenient than who runs
 * an image: artifacts of any kind will do, as long as the document is one of the four types and means
 * one thing only.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests
 */
import type { Digest } from '../content/digest.ts';
import { type Descriptor, parseDescriptor } from './descriptor.ts';
import {
  arrayOf,
  invalidDocument,
  type JsonObject,
  jsonObject,
  optionalString,
  parseJson,
  stringMapOf,
} from './json-fields.ts';
import { INDEX_TYPES, MANIFEST_TYPES } from './manifest.ts';

export interface ManifestFacts {
  mediaType: string;
  /** Blobs that must be where it is. */
  blobs: readonly Descriptor[];
  /** Manifests that must be where it is. */
  manifests: readonly Descriptor[];
  /** What it is about; need not be there (yet). */
  subject: Digest | undefined;
  artifactType: string | undefined;
  annotations: Readonly<Record<string, string>>;
}

const MAX_REFERENCES = 10_000;
/** Layers that their owners do not want to be distributed: their `urls` say where they are. */
const FOREIGN = /\.nondistributable\.|\.foreign\.diff\./;

/**
 * Reads a manifest or an index that is being passed on.
 * @param announced the request's Content-Type, without parameters
 * @throws {StrataError} INVALID_IMAGE, INVALID_DIGEST
 */
export function manifestFacts(bytes: Uint8Array, announced: string): ManifestFacts {
  const isIndex = INDEX_TYPES.includes(announced);
  if (!isIndex && !MANIFEST_TYPES.includes(announced)) {
    const known = [...MANIFEST_TYPES, ...INDEX_TYPES].join(', ');
    const shown = JSON.stringify(announced.slice(0, 100));
    throw invalidDocument('Content-Type', `is ${shown}, not one of ${known}`);
  }
  const object = jsonObject(parseJson(bytes, 'manifest'), 'manifest');
  refuseAmbiguous(object, announced, isIndex);
  const { subject } = object;
  return {
    mediaType: announced,
    ...(isIndex ? referencesOfIndex(object) : referencesOfManifest(object)),
    subject: subject ? parseDescriptor(subject, 'manifest.subject').digest : undefined,
    artifactType: artifactTypeOf(object, isIndex),
    annotations: stringMapOf(object.annotations, 'manifest.annotations'),
  };
}

/** GHSA-77vh-xpmg-72qh: two programs must not see two images in one document. */
function refuseAmbiguous(object: JsonObject, announced: string, isIndex: boolean): void {
  const own = optionalString(object.mediaType, 'manifest.mediaType');
  if (own !== undefined && own !== announced) {
    throw invalidDocument('manifest.mediaType', `is ${own}, and it was pushed as ${announced}`);
  }
  if (object.schemaVersion !== 2) {
    const found = JSON.stringify(object.schemaVersion) ?? 'missing';
    throw invalidDocument('manifest.schemaVersion', `is ${found.slice(0, 100)}, not 2`);
  }
  const foreign = isIndex ? ['config', 'layers'] : ['manifests'];
  const odd = foreign.find((field) => object[field] !== undefined);
  if (odd) throw invalidDocument('manifest', `has a field ${odd}, which is not for ${announced}`);
}

function referencesOfIndex(object: JsonObject): Pick<ManifestFacts, 'blobs' | 'manifests'> {
  const items = arrayOf(object.manifests, 'index.manifests', MAX_REFERENCES);
  const manifests = items.map((item, at) => parseDescriptor(item, `index.manifests[${at}]`));
  return { blobs: [], manifests };
}

function referencesOfManifest(object: JsonObject): Pick<ManifestFacts, 'blobs' | 'manifests'> {
  const config = parseDescriptor(object.config, 'manifest.config');
  const layers = arrayOf(object.layers ?? [], 'manifest.layers', MAX_REFERENCES)
    .map((item, at) => parseDescriptor(item, `manifest.layers[${at}]`))
    .filter(({ mediaType }) => !FOREIGN.test(mediaType));
  return { blobs: [config, ...layers], manifests: [] };
}

/** @see image-spec, manifest.md: without an artifactType, an image's is its config's media type. */
function artifactTypeOf(object: JsonObject, isIndex: boolean): string | undefined {
  const own = optionalString(object.artifactType, 'manifest.artifactType');
  if (own || isIndex) return own || undefined;
  return parseDescriptor(object.config, 'manifest.config').mediaType;
}
