/**
 * docker://NAME: an image in a registry, to be read or written.
 *
 *   POST /v2/<path>/blobs/uploads/?mount=..&from=..   201: the registry had it; 202: send it
 *   PUT  <location>?digest=..                         the bytes
 *   PUT  /v2/<path>/manifests/<digest or tag>
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push
 */
import { Readable } from 'node:stream';
import { StrataError } from '@strata/namespaces';
import type { Descriptor } from '../images/descriptor.ts';
import type { Reference } from '../references/reference.ts';
import {
  type ManifestDocument,
  RegistryClient,
  type RegistryOptions,
} from '../registry/registry-client.ts';
import { type RegistryResponse, refusal, registryError } from '../registry/registry-request.ts';
import type { RepositoryEndpoint } from '../registry/repository-endpoint.ts';
import type { ImageDestination, ImageSource } from './transport.ts';

const MAX_TRIES = 3;

export class RegistrySource implements ImageSource {
  readonly repository: Reference;
  readonly #client: RegistryClient;

  constructor(reference: Reference, options: RegistryOptions) {
    this.repository = reference;
    this.#client = new RegistryClient(reference, options);
  }

  manifest(below?: Descriptor): Promise<ManifestDocument> {
    return this.#client.manifest(below?.digest);
  }

  async *blob({ digest }: Descriptor): AsyncGenerator<Uint8Array> {
    yield* (await this.#client.blob(digest)).response.chunks();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

export class RegistryDestination implements ImageDestination {
  readonly #reference: Reference;
  readonly #server: RepositoryEndpoint;
  /** Uploads that the registry has begun where it could not mount a blob: they are gone on with. */
  readonly #begun = new Map<string, URL>();

  constructor(reference: Reference, options: RegistryOptions) {
    this.#reference = reference;
    this.#server = new RegistryClient(reference, options).pushServer();
  }

  async has({ digest }: Descriptor, { repository }: ImageSource): Promise<boolean> {
    const to = `blobs/${digest}`;
    const response = await this.#server.send({ to, method: 'HEAD', action: 'push' });
    response.discard();
    if (response.ok) return true;
    const { domain, path } = this.#reference;
    const canMount = repository?.domain === domain && repository.path !== path;
    return canMount && (await this.#mount(digest, repository.path));
  }

  async #mount(digest: string, from: string): Promise<boolean> {
    const query = new URLSearchParams({ mount: digest, from });
    const to = `blobs/uploads/?${query}`;
    const response = await this.#server.send({ to, method: 'POST', action: 'push', from });
    response.discard();
    if (response.status === 202) this.#begun.set(digest, locationOf(response));
    return response.status === 201;
  }

  async put({ digest, size }: Descriptor, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const url = this.#begun.get(digest) ?? (await this.#begin());
      this.#begun.delete(digest);
      url.searchParams.set('digest', digest);
      try {
        const response = await this.#server.send({
          to: url,
          method: 'PUT',
          action: 'push',
          headers: { 'content-type': 'application/octet-stream' },
          body: { open: () => Readable.from(open(), { objectMode: false }), size },
        });
        if (!response.ok) throw await refusal(response);
        response.discard();
        return;
      } catch (error) {
        // The connection broke: the session is spent, and another one may work.
        const breaks = error instanceof StrataError && error.code === 'REGISTRY_UNREACHABLE';
        if (!breaks || tries === MAX_TRIES) throw error;
      }
    }
  }

  async #begin(): Promise<URL> {
    const response = await this.#server.send({
      to: 'blobs/uploads/',
      method: 'POST',
      action: 'push',
    });
    if (response.status !== 202) throw await refusal(response);
    response.discard();
    return locationOf(response);
  }

  putManifest({ descriptor, bytes }: ManifestDocument): Promise<void> {
    return this.#putManifest(descriptor.digest, descriptor, bytes);
  }

  async commit({ descriptor, bytes }: ManifestDocument): Promise<void> {
    const { tag } = this.#reference;
    if (tag !== undefined) await this.#putManifest(tag, descriptor, bytes);
  }

  async #putManifest(name: string, descriptor: Descriptor, bytes: Buffer): Promise<void> {
    const response = await this.#server.send({
      to: `manifests/${name}`,
      method: 'PUT',
      action: 'push',
      headers: { 'content-type': descriptor.mediaType },
      body: bytes,
    });
    if (!response.ok) throw await refusal(response);
    response.discard();
    const stored = response.header('docker-content-digest');
    if (stored === undefined || stored === descriptor.digest) return;
    throw registryError(response, `has stored ${stored.slice(0, 80)} for ${descriptor.digest}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** @throws {StrataError} REGISTRY_ERROR */
function locationOf(response: RegistryResponse): URL {
  const location = response.header('location');
  const url = location === undefined ? null : URL.parse(location, response.url);
  const isAllowed = url && (url.protocol === 'https:' || url.protocol === response.url.protocol);
  if (isAllowed) return url;
  throw registryError(response, 'says nowhere to send the blob to');
}
