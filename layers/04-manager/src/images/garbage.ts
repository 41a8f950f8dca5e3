/**
 * Finds and removes what nothing refers to: blobs of no image, snapshots under no image and no
 * container.
 *
 *   name ─▶ target (index) ─▶ manifest ─▶ configuration, layers     kept blobs
 *                                   └───▶ chain ids ◀── rootfs rows  kept snapshots
 */
import { StrataError } from '@strata/namespaces';
import type { ContentStore } from '../content/content-store.ts';
import type { Digest } from '../content/digest.ts';
import { chainIds } from '../snapshots/chain-id.ts';
import type { SnapshotStore } from '../snapshots/snapshot-store.ts';
import type { StateDatabase } from '../state/state-database.ts';
import type { Descriptor } from './descriptor.ts';
import { MAX_CONFIG_BYTES, parseImageConfig } from './image-config.ts';
import type { ImageNames } from './image-names.ts';
import { INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST_BYTES, parseManifest } from './manifest.ts';

const MAX_DEPTH = 8;

export interface Stores {
  state: StateDatabase;
  names: ImageNames;
  content: ContentStore;
  snapshots: SnapshotStore;
}

/** Removes all garbage. The caller holds the collection lock. */
export function collectGarbage({ state, names, content, snapshots }: Stores): void {
  // In a transaction, so that no root file system is prepared between looking and removing.
  const removed = state.transaction(() => {
    const reachable = new Reachable(content);
    for (const { target } of names.all()) reachable.add(target, 0);
    const rows = state.all<{ chain_ids: string }>('SELECT chain_ids FROM rootfs');
    const inUse = new Set<Digest>(rows.flatMap((row) => JSON.parse(row.chain_ids)));
    for (const digest of content.list()) {
      if (!reachable.blobs.has(digest)) content.remove(digest);
    }
    const garbage = snapshots
      .list()
      .filter((chain) => !reachable.chains.has(chain) && !inUse.has(chain));
    return garbage.map((chain) => snapshots.detach(chain));
  });
  for (const snapshot of removed) snapshot[Symbol.dispose]();
}

class Reachable {
  readonly blobs = new Set<Digest>();
  readonly chains = new Set<Digest>();
  readonly #content: ContentStore;

  constructor(content: ContentStore) {
    this.#content = content;
  }

  add(descriptor: Descriptor, depth: number): void {
    const { digest, mediaType } = descriptor;
    if (this.blobs.has(digest)) return;
    this.blobs.add(digest);
    const isDocument = MANIFEST_TYPES.includes(mediaType) || INDEX_TYPES.includes(mediaType);
    // Of an index, usually only one platform's manifest is here.
    if (!isDocument || depth > MAX_DEPTH || !this.#content.has(digest)) return;
    unlessDamaged(() => this.#addParts(descriptor, depth));
  }

  #addParts({ digest, mediaType }: Descriptor, depth: number): void {
    const document = parseManifest(this.#content.read(digest, MAX_MANIFEST_BYTES), mediaType);
    if (document.kind === 'index') {
      for (const manifest of document.manifests) this.add(manifest, depth + 1);
      return;
    }
    for (const layer of document.layers) this.blobs.add(layer.digest);
    this.blobs.add(document.config.digest);
    const config = parseImageConfig(this.#content.read(document.config.digest, MAX_CONFIG_BYTES));
    for (const chain of chainIds(config.diffIds)) this.chains.add(chain);
  }
}

/**
 * One damaged image must not stop the collection of all others' garbage: what cannot be read of it
 * cannot be used either, and pulling it again brings it back.
 */
function unlessDamaged(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof StrataError)) throw error;
  }
}
