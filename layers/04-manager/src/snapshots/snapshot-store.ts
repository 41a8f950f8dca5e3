/**
 * Snapshots: layers unpacked once, ready to be lower directories of overlay mounts.
 *
 *   <root>/snapshots/<chain id>/fs    what the chain's topmost layer adds to the ones below
 *   <root>/snapshots/.scratch/        layers being unpacked or removed
 *
 * A snapshot is there completely or not at all. It never changes after it has appeared, so any
 * number of containers may lie on it.
 */
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { localSyscalls } from '@strata/namespaces';
import type { ContentStore } from '../content/content-store.ts';
import { type Digest, digestHex, digestOfName, isDigest } from '../content/digest.ts';
import { layerCompression } from '../layers/layer-media.ts';
import { type UnpackLimits, unpackLayer } from '../layers/unpack-layer.ts';
import { chainIds } from './chain-id.ts';
import { ScratchDirectories } from './scratch-directories.ts';

/** A layer as manifest and configuration together describe it. */
export interface SnapshotLayer {
  /** Of the blob. */
  digest: Digest;
  mediaType: string;
  /** Of the decompressed archive. */
  diffId: Digest;
}

/** Unpacking the same layer twice in one process would be wasted work. */
const underWay = new Map<string, Promise<void>>();

export class SnapshotStore {
  readonly #root: string;
  readonly #content: ContentStore;
  readonly #scratch: ScratchDirectories;

  constructor(root: string, content: ContentStore) {
    this.#root = join(root, 'snapshots');
    this.#content = content;
    this.#scratch = new ScratchDirectories(join(this.#root, '.scratch'));
  }

  /** The directory of a snapshot's files, whether it is there or not. */
  path(chainId: Digest): string {
    return join(this.#root, digestHex(chainId), 'fs');
  }

  has(chainId: Digest): boolean {
    return statSync(this.path(chainId), { throwIfNoEntry: false }) !== undefined;
  }

  /**
   * Unpacks what is not yet unpacked of an image's layers, lowest first.
   * @returns the chain ids, lowest first
   * @throws what `unpackLayer` throws; the snapshot that failed is not there then
   */
  async ensure(
    layers: readonly SnapshotLayer[],
    limits: Partial<UnpackLimits> = {},
  ): Promise<Digest[]> {
    const chains = chainIds(layers.map(({ diffId }) => diffId));
    for (const [index, layer] of layers.entries()) {
      const chainId = chains[index]!;
      if (this.has(chainId)) continue;
      const lowers = chains.slice(0, index).map((below) => this.path(below));
      await this.#once(this.path(chainId), () =>
        this.#unpack({ layer, chainId, lowers: lowers.reverse(), limits }),
      );
    }
    return chains;
  }

  /**
   * Makes a snapshot vanish that nothing lies on any more. Its files are removed when the result is
   * disposed, which may take long.
   */
  detach(chainId: Digest): Disposable {
    return this.#scratch.detach(join(this.#root, digestHex(chainId)));
  }

  /** Chain ids of all snapshots. */
  list(): Digest[] {
    return readdirSync(this.#root)
      .map(digestOfName)
      .filter((digest) => isDigest(digest));
  }

  async #once(key: string, work: () => Promise<void>): Promise<void> {
    const running = underWay.get(key);
    if (running) return running;
    const promise = work().finally(() => underWay.delete(key));
    underWay.set(key, promise);
    return promise;
  }

  async #unpack(options: {
    layer: SnapshotLayer;
    chainId: Digest;
    lowers: readonly string[];
    limits: Partial<UnpackLimits>;
  }): Promise<void> {
    const { layer, chainId, lowers, limits } = options;
    const compression = layerCompression(layer.mediaType);
    using scratch = this.#scratch.make();
    const target = join(scratch.path, 'snapshot', 'fs');
    mkdirSync(target, { recursive: true, mode: 0o755 });
    const blobFd = this.#content.open(layer.digest);
    await unpackLayer({ blobFd, compression, target, lowers, diffId: layer.diffId, limits });
    sync(target);
    this.#publish(join(scratch.path, 'snapshot'), chainId);
  }

  /** Another process may have unpacked the same meanwhile; theirs is as good as ours. */
  #publish(path: string, chainId: Digest): void {
    try {
      renameSync(path, join(this.#root, digestHex(chainId)));
    } catch (error) {
      if (!this.has(chainId)) throw error;
    }
  }
}

/** A snapshot that is there must have its content after a power cut too: it is never verified again. */
function sync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    localSyscalls().syncfs(fd);
  } finally {
    closeSync(fd);
  }
}
