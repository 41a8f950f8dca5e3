/** Brings images of a layout into the store: documents, configuration, layers, all verified. */
import { StrataError } from '@strata/namespaces';
import type { ContentStore } from '../content/content-store.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { pairLayers, resolveManifest } from '../images/image.ts';
import { MAX_CONFIG_BYTES, parseImageConfig } from '../images/image-config.ts';
import { MAX_MANIFEST_BYTES, OCI_INDEX, parseManifest } from '../images/manifest.ts';
import { choosePlatform } from '../images/platform.ts';
import { formatReference, parseReference, type Reference } from '../references/reference.ts';
import { invalidLayout } from './invalid-layout.ts';
import type { LayoutSource } from './layout-source.ts';

/** The name of an image within a layout; often only its tag. */
export const REF_NAME = 'org.opencontainers.image.ref.name';
/** Where containerd and Docker put the whole name. */
export const CONTAINERD_NAME = 'io.containerd.image.name';

export interface NamedTarget {
  reference: Reference;
  target: Descriptor;
}

/**
 * Chooses what to import: with a name, the one image it is for; otherwise every image that has a
 * whole name in the layout.
 * @throws {StrataError} INVALID_LAYOUT, INVALID_REFERENCE, NO_SUCH_PLATFORM
 */
export function chooseImages(source: LayoutSource, name?: string): NamedTarget[] {
  const index = parseManifest(source.file('index.json'), OCI_INDEX);
  if (index.kind !== 'index') throw invalidLayout(source.path, 'has no index in index.json');
  if (index.manifests.length === 0) throw invalidLayout(source.path, 'has no image in it');
  if (name !== undefined) {
    const reference = parseReference(name);
    return [{ reference, target: chooseOne(index.manifests, reference) }];
  }
  const named = index.manifests.flatMap((target) => {
    const fullName = wholeName(target);
    return fullName ? [{ reference: parseReference(fullName), target }] : [];
  });
  if (named.length > 0) return named;
  throw invalidLayout(source.path, 'does not say the name of its image', 'give one');
}

/**
 * Copies what this machine needs of an image into the store.
 * @throws {StrataError} INVALID_LAYOUT, INVALID_IMAGE, DIGEST_MISMATCH, SIZE_MISMATCH
 */
export async function importImage(
  content: ContentStore,
  source: LayoutSource,
  target: Descriptor,
): Promise<void> {
  const copy = async (descriptor: Descriptor, limit?: number): Promise<void> => {
    if (limit !== undefined && descriptor.size > limit) {
      const message = `${descriptor.digest} has ${descriptor.size} bytes, over ${limit}`;
      throw new StrataError('INVALID_IMAGE', message, { path: source.path });
    }
    if (content.size(descriptor.digest) === descriptor.size) return;
    await content.ingest(source.blob(descriptor.digest), descriptor);
  };
  const { manifest } = await resolveManifest(target, async (descriptor) => {
    await copy(descriptor, MAX_MANIFEST_BYTES);
    return content.read(descriptor.digest, MAX_MANIFEST_BYTES);
  });
  await copy(manifest.config, MAX_CONFIG_BYTES);
  pairLayers(manifest, parseImageConfig(content.read(manifest.config.digest, MAX_CONFIG_BYTES)));
  for (const layer of manifest.layers) await copy(layer);
}

/** The image whose name or tag is the wanted one; else this machine's, if all are of one image. */
function chooseOne(manifests: readonly Descriptor[], wanted: Reference): Descriptor {
  const full = formatReference(wanted);
  const named = manifests.find((each) => {
    const name = wholeName(each);
    return name === undefined
      ? each.annotations?.[REF_NAME] === wanted.tag
      : formatReference(parseReference(name)) === full;
  });
  if (named) return named;
  return manifests.length === 1 ? manifests[0]! : choosePlatform(manifests);
}

/** A tag alone is no name: it has neither a slash nor a colon. */
function wholeName({ annotations }: Descriptor): string | undefined {
  const refName = annotations?.[REF_NAME];
  return annotations?.[CONTAINERD_NAME] ?? (refName && /[/:]/.test(refName) ? refName : undefined);
}
