/**
 * Fetches an image's blobs from a registry into the store.
 *
 *   manifest ─▶ configuration ─▶ layer 1 ─┐ three at a time; each is unpacked as soon as
 *                                layer 2 ─┤ it and all below it are there
 *                                layer 3 ─┘
 */
import { StrataError } from '@strata/namespaces';
import type { ContentStore } from '../content/content-store.ts';
import type { Digest } from '../content/digest.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { pairLayers, resolveManifest } from '../images/image.ts';
import { MAX_CONFIG_BYTES, parseImageConfig } from '../images/image-config.ts';
import type { Manifest } from '../images/manifest.ts';
import type { Platform } from '../images/platform.ts';
import { layerCompression } from '../layers/layer-media.ts';
import type { Reference } from '../references/reference.ts';
import type { SnapshotStore } from '../snapshots/snapshot-store.ts';
import { fetchBlob } from './fetch-blob.ts';
import { RegistryClient, type RegistryOptions } from './registry-client.ts';

export interface PullProgress {
  digest: Digest;
  /** Bytes that have come so far. */
  received: number;
  /** Bytes that shall come. */
  size: number;
  /** True if the store had it already. */
  existed: boolean;
}

export interface PullOptions extends Omit<RegistryOptions, 'signal'> {
  platform?: Platform;
  progress?: (progress: PullProgress) => void;
}

const PARALLEL = 3;

/**
 * Fetches and unpacks an image.
 * @returns what the reference stands for: a manifest or an index
 * @throws {StrataError} what the client, the store and unpacking throw; blobs that were complete by
 *   then are in the store, with nothing referring to them
 */
export async function pullImage(
  stores: { content: ContentStore; snapshots: SnapshotStore },
  reference: Reference,
  options: PullOptions = {},
): Promise<Descriptor> {
  using aborting = new Aborting();
  const client = new RegistryClient(reference, { ...options, signal: aborting.signal });
  const target = await client.manifest();
  const read = async (descriptor: Descriptor): Promise<Buffer> => {
    const isTarget = descriptor.digest === target.descriptor.digest;
    const { bytes, descriptor: found } = isTarget
      ? target
      : await client.manifest(descriptor.digest);
    if (found.mediaType !== descriptor.mediaType || found.size !== descriptor.size) {
      const message = `manifest ${found.digest} is a ${found.mediaType} of ${found.size} bytes`;
      const hint = `announced: ${descriptor.mediaType} of ${descriptor.size} bytes`;
      throw new StrataError('INVALID_IMAGE', message, { hint });
    }
    stores.content.add(bytes, descriptor);
    return bytes;
  };
  const { manifest } = await resolveManifest(target.descriptor, read, options.platform);
  const { progress } = options;
  const fetching = new Fetching({ client, ...stores, progress, signal: aborting.signal });
  await fetching.image(manifest, aborting);
  return target.descriptor;
}

/** Ends all requests when the pull is over, however it ends. */
class Aborting implements Disposable {
  readonly #controller = new AbortController();

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(): void {
    this.#controller.abort(new StrataError('ABORTED', 'another part of the pull has failed'));
  }

  [Symbol.dispose](): void {
    this.abort();
  }
}

class Fetching {
  readonly #client: RegistryClient;
  readonly #content: ContentStore;
  readonly #snapshots: SnapshotStore;
  readonly #progress: ((progress: PullProgress) => void) | undefined;
  readonly #signal: AbortSignal;

  constructor(options: {
    client: RegistryClient;
    content: ContentStore;
    snapshots: SnapshotStore;
    progress: ((progress: PullProgress) => void) | undefined;
    signal: AbortSignal;
  }) {
    this.#client = options.client;
    this.#content = options.content;
    this.#snapshots = options.snapshots;
    this.#progress = options.progress;
    this.#signal = options.signal;
  }

  async image(manifest: Manifest, aborting: Aborting): Promise<void> {
    // Before the first layer is fetched: all must be of a kind that can be unpacked.
    for (const { mediaType } of manifest.layers) layerCompression(mediaType);
    if (manifest.config.size > MAX_CONFIG_BYTES) {
      const message = `image configuration has ${manifest.config.size} bytes`;
      throw new StrataError('INVALID_IMAGE', message, { hint: `limit: ${MAX_CONFIG_BYTES} bytes` });
    }
    await this.#blob(manifest.config);
    const config = parseImageConfig(this.#content.read(manifest.config.digest, MAX_CONFIG_BYTES));
    const layers = pairLayers(manifest, config);
    const arrivals = this.#fetchAll(manifest.layers);
    try {
      for (const [index, arrival] of arrivals.entries()) {
        await arrival;
        await this.#snapshots.ensure(layers.slice(0, index + 1));
      }
    } catch (error) {
      aborting.abort();
      // Nobody may still be writing when the caller cleans up.
      await Promise.allSettled(arrivals);
      throw error;
    }
  }

  /** Fetches blobs, `PARALLEL` at a time in their order; gives a promise for each. */
  #fetchAll(blobs: readonly Descriptor[]): Promise<void>[] {
    const promises: Promise<void>[] = [];
    for (const [index, blob] of blobs.entries()) {
      const before = promises[index - PARALLEL] ?? Promise.resolve();
      const promise = before.then(() => this.#blob(blob));
      // Whoever awaits them in their order sees the failure; until then it is not "unhandled".
      promise.catch(() => undefined);
      promises.push(promise);
    }
    return promises;
  }

  async #blob({ digest, size }: Descriptor): Promise<void> {
    if (this.#content.size(digest) === size) {
      this.#progress?.({ digest, received: size, size, existed: true });
      return;
    }
    const wasThere = await this.#fetch(digest, size);
    // The fault may be in what an earlier fetch has left: once more, from the beginning.
    if (wasThere === 'wrong') await this.#fetch(digest, size);
  }

  async #fetch(digest: Digest, size: number): Promise<'done' | 'wrong'> {
    using writer = await this.#content.resume({ digest, size }, this.#signal);
    if (!writer) {
      this.#progress?.({ digest, received: size, size, existed: true });
      return 'done';
    }
    const begun = writer.size;
    const onProgress = (received: number): void =>
      this.#progress?.({ digest, received, size, existed: false });
    await fetchBlob({ client: this.#client, digest, size, onProgress }, writer);
    try {
      writer.commit();
    } catch (error) {
      const isMismatch = error instanceof StrataError && error.code === 'DIGEST_MISMATCH';
      if (isMismatch && begun > 0) return 'wrong';
      throw error;
    }
    return 'done';
  }
}
