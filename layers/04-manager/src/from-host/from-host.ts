/** Makes an image of programs of this host: a way to an image that needs no network. */
import type { BlobId } from '../content/blob-writer.ts';
import type { ContentStore } from '../content/content-store.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { OCI_CONFIG, OCI_MANIFEST } from '../images/manifest.ts';
import { hostPlatform } from '../images/platform.ts';
import { LAYER_TAR } from '../layers/layer-media.ts';
import { DEFAULT_PATH, hostTree } from './host-tree.ts';
import { sourceDateEpoch, treeArchive } from './tree-archive.ts';

/**
 * Packs host programs with all they need into the store, as one uncompressed layer (its digest is
 * then its diff id too, and unpacking it costs no time).
 * @param commands see `host-tree.ts`
 * @returns the manifest
 * @throws {StrataError} COMMAND_NOT_FOUND, LIBRARY_NOT_FOUND, EINVAL, ALREADY_EXISTS
 */
export async function packFromHost(
  content: ContentStore,
  commands: readonly string[],
): Promise<Descriptor> {
  const epochSeconds = sourceDateEpoch();
  const { tree, command } = hostTree(commands);
  const layer = await content.ingest(treeArchive(tree, epochSeconds));
  const config = addJson(content, {
    created: new Date(epochSeconds * 1000).toISOString(),
    ...hostPlatform(),
    config: { Env: [`PATH=${DEFAULT_PATH}`], Cmd: [command], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
    history: [{ created_by: `strata image from-host ${commands.join(' ')}` }],
  });
  const manifest = addJson(content, {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, ...config },
    layers: [{ mediaType: LAYER_TAR, ...layer }],
  });
  return { mediaType: OCI_MANIFEST, ...manifest };
}

const addJson = (content: ContentStore, document: unknown): BlobId =>
  content.add(JSON.stringify(document));
