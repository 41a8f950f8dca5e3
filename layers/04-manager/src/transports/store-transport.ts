/** strata:NAME: an image in the store of this machine. */
import { createReadStream } from 'node:fs';
import type { ContentStore } from '../content/content-store.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { MAX_MANIFEST_BYTES } from '../images/manifest.ts';
import type { Reference } from '../references/reference.ts';
import type { ManifestDocument } from '../registry/registry-client.ts';
import type { ImageDestination, ImageSource } from './transport.ts';

export class StoreSource implements ImageSource {
  readonly repository: Reference;
  readonly #content: ContentStore;
  readonly #target: Descriptor;

  /** @param repository where the image came from, for registries that have it already */
  constructor(content: ContentStore, target: Descriptor, repository: Reference) {
    this.#content = content;
    this.#target = target;
    this.repository = repository;
  }

  async manifest({ mediaType, digest }: Descriptor = this.#target): Promise<ManifestDocument> {
    const bytes = this.#content.read(digest, MAX_MANIFEST_BYTES);
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
  }

  blob({ digest }: Descriptor): AsyncIterable<Uint8Array> {
    return createReadStream('', { fd: this.#content.open(digest), highWaterMark: 1 << 18 });
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

export class StoreDestination implements ImageDestination {
  readonly #content: ContentStore;
  readonly #record: (target: Descriptor) => Promise<void>;

  /** @param record gives the image its name, once all of it is there */
  constructor(content: ContentStore, record: (target: Descriptor) => Promise<void>) {
    this.#content = content;
    this.#record = record;
  }

  async has({ digest, size }: Descriptor): Promise<boolean> {
    return this.#content.size(digest) === size;
  }

  async put(descriptor: Descriptor, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    await this.#content.ingest(open(), descriptor);
  }

  async putManifest({ descriptor, bytes }: ManifestDocument): Promise<void> {
    this.#content.add(bytes, descriptor);
  }

  commit({ descriptor }: ManifestDocument): Promise<void> {
    return this.#record(descriptor);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
