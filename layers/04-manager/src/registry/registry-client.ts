/**
 * Reads one repository of a registry, from whichever of its servers answers.
 *
 *   GET /v2/<path>/manifests/<tag or digest>    a manifest or an index
 *   GET /v2/<path>/blobs/<digest>               a configuration or a layer, or a part of one
 *   GET /v2/<path>/tags/list, .../referrers/<digest>
 *
 * Mirrors are asked first, in the order of hosts.toml; where one does not help, the next one is asked,
 * and the registry itself at the end. Its error is the one that counts; what the others said is its hint.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull
 */
import { StrataError } from '@strata/namespaces';
import { algorithmOf, type Digest, digestHex, digestOf, isDigest } from '../content/digest.ts';
import { type Descriptor, parseDescriptor } from '../images/descriptor.ts';
import { arrayOf, jsonObject, parseJson, stringOf } from '../images/json-fields.ts';
import { INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST_BYTES } from '../images/manifest.ts';
import type { Reference } from '../references/reference.ts';
import type { Credentials } from './credential-store.ts';
import { type Capability, type HostsOptions, registryEndpoints } from './registry-hosts.ts';
import { type RegistryResponse, type RequestOptions, registryError } from './registry-request.ts';
import { RepositoryEndpoint } from './repository-endpoint.ts';

export type { Credentials } from './credential-store.ts';

export interface RegistryOptions extends HostsOptions {
  /** For the registry itself, in place of what docker's files and helpers know. */
  credentials?: Credentials | undefined;
  signal?: AbortSignal | undefined;
  /** Told before a request is tried again. */
  onWait?: RequestOptions['onWait'];
}

export interface ManifestDocument {
  descriptor: Descriptor;
  bytes: Buffer;
}

const ACCEPT = [...MANIFEST_TYPES, ...INDEX_TYPES].join(', ');
const MAX_LIST_BYTES = 16 * 2 ** 20;
const MAX_PAGES = 1000;
/** Errors of one server that another one may not have. */
const OTHERS_MAY_HELP = new Set([
  'NOT_IN_REGISTRY',
  'UNAUTHORIZED',
  'RATE_LIMITED',
  'REGISTRY_UNREACHABLE',
  'REGISTRY_ERROR',
  'DIGEST_MISMATCH',
]);

export class RegistryClient {
  readonly reference: Reference;
  readonly #servers: readonly RepositoryEndpoint[];
  /** Servers that cannot be reached: not asked again for each of a hundred layers. */
  readonly #lost = new Set<RepositoryEndpoint>();

  /** @throws {StrataError} INVALID_CONFIG */
  constructor(reference: Reference, options: RegistryOptions = {}) {
    this.reference = reference;
    const { signal, onWait, credentials } = options;
    const endpoints = registryEndpoints(reference.domain, options);
    this.#servers = endpoints.map((endpoint, index) => {
      const isOwn = index === endpoints.length - 1;
      return new RepositoryEndpoint(endpoint, reference, {
        signal,
        onWait,
        ...(isOwn ? { credentials } : { mirrorOf: reference.domain }),
      });
    });
  }

  /**
   * Fetches the document that the reference, or a digest, stands for.
   * @throws {StrataError} NOT_IN_REGISTRY, UNAUTHORIZED, REGISTRY_*, RATE_LIMITED, DIGEST_MISMATCH
   */
  manifest(digest?: Digest): Promise<ManifestDocument> {
    const wanted = digest ?? this.reference.digest;
    const to = `manifests/${wanted ?? this.reference.tag}`;
    return this.#fromAny(wanted ? 'pull' : 'resolve', async (server) =>
      readManifest(await server.get({ to, headers: { accept: ACCEPT } }), wanted),
    );
  }

  /** Whether the document is there, and which it is. As `manifest`, without reading it. */
  async resolve(): Promise<Digest> {
    const to = `manifests/${this.reference.digest ?? this.reference.tag}`;
    const found = await this.#fromAny('resolve', async (server) => {
      const response = await server.get({ to, method: 'HEAD', headers: { accept: ACCEPT } });
      response.discard();
      return response.header('docker-content-digest');
    });
    return isDigest(found) ? found : (await this.manifest()).descriptor.digest;
  }

  /**
   * A blob from its byte `from` on, perhaps only to before `to`.
   * @returns the answer, and at which byte it begins: a server may send all from the beginning
   */
  blob(
    digest: Digest,
    range: { from: number; to?: number } = { from: 0 },
  ): Promise<{ response: RegistryResponse; begin: number }> {
    const { from, to } = range;
    const isPart = from > 0 || to !== undefined;
    const headers = isPart ? { range: `bytes=${from}-${to === undefined ? '' : to - 1}` } : {};
    return this.#fromAny('pull', async (server) => {
      const response = await server.get({ to: `blobs/${digest}`, headers });
      return { response, begin: response.status === 206 ? beginOf(response, from) : 0 };
    });
  }

  /** All tags, in the registry's order. */
  tags(): Promise<string[]> {
    return this.#fromAny('resolve', (server) =>
      readPages(server, 'tags/list', (page) =>
        arrayOf(page.tags ?? [], 'tags', 100_000).map((tag) => stringOf(tag, 'tags')),
      ),
    );
  }

  /**
   * Manifests that have this one as their subject.
   * A registry without the API has them in an index with the tag <algorithm>-<hex>.
   */
  referrers(digest: Digest, artifactType?: string): Promise<Descriptor[]> {
    const query = artifactType ? `?artifactType=${encodeURIComponent(artifactType)}` : '';
    return this.#fromAny('pull', async (server) => {
      const found = await readPages(server, `referrers/${digest}${query}`, manifestsOf)
        .catch((error: unknown) => {
          if (!(error instanceof StrataError) || error.code !== 'NOT_IN_REGISTRY') throw error;
          return readPages(
            server,
            `manifests/${algorithmOf(digest)}-${digestHex(digest)}`,
            manifestsOf,
          );
        })
        .catch((error: unknown) => {
          if (!(error instanceof StrataError) || error.code !== 'NOT_IN_REGISTRY') throw error;
          return [];
        });
      // Whether or not the registry has applied the filter.
      return artifactType ? found.filter((each) => each.artifactType === artifactType) : found;
    });
  }

  /** The server that takes what is pushed. @throws {StrataError} REGISTRY_ERROR */
  pushServer(): RepositoryEndpoint {
    const server = this.#servers.find(({ endpoint }) => endpoint.capabilities.includes('push'));
    if (server) return server;
    const { domain } = this.reference;
    throw new StrataError('REGISTRY_ERROR', `no server of ${domain} takes what is pushed`, {
      hint: `capabilities in ${this.#servers[0]?.endpoint.source}`,
    });
  }

  async #fromAny<T>(
    capability: Capability,
    work: (server: RepositoryEndpoint) => Promise<T>,
  ): Promise<T> {
    const able = this.#servers.filter(({ endpoint }) => endpoint.capabilities.includes(capability));
    const reachable = able.filter((server) => !this.#lost.has(server));
    const servers = reachable.length > 0 ? reachable : able;
    const said: string[] = [];
    for (const server of servers) {
      try {
        return await work(server);
      } catch (error) {
        if (!(error instanceof StrataError) || !OTHERS_MAY_HELP.has(error.code)) throw error;
        if (error.code === 'REGISTRY_UNREACHABLE') this.#lost.add(server);
        if (server === servers.at(-1)) throw withMirrors(error, said);
        said.push(error.message);
      }
    }
    throw new StrataError(
      'REGISTRY_ERROR',
      `no server of ${this.reference.domain} can ${capability}`,
    );
  }
}

/** Nobody must wonder whether the mirror was asked. */
function withMirrors(error: StrataError, said: readonly string[]): StrataError {
  if (said.length === 0) return error;
  const hint = [error.hint, `asked before: ${said.join('; ')}`].filter(Boolean).join('; ');
  return new StrataError(error.code, error.message, { cause: error, hint });
}

async function readManifest(
  response: RegistryResponse,
  wanted: Digest | undefined,
): Promise<ManifestDocument> {
  const mediaType = (response.header('content-type') ?? '').split(';')[0]!.trim();
  if (!MANIFEST_TYPES.includes(mediaType) && !INDEX_TYPES.includes(mediaType)) {
    response.discard();
    const shown = JSON.stringify(mediaType.slice(0, 100));
    throw registryError(response, `the answer is of type ${shown}, not an image manifest`);
  }
  const bytes = await response.read(MAX_MANIFEST_BYTES);
  const announced = wanted ?? response.header('docker-content-digest');
  const found = digestOf(bytes, isDigest(announced) ? algorithmOf(announced) : 'sha256');
  if (announced !== undefined && announced !== found) {
    const message = `${response.shown}: the manifest has the digest ${found}, not ${announced.slice(0, 80)}`;
    throw new StrataError('DIGEST_MISMATCH', message);
  }
  return { descriptor: { mediaType, digest: found, size: bytes.length }, bytes };
}

/** @throws {StrataError} REGISTRY_ERROR where it is another part than was asked for */
function beginOf(response: RegistryResponse, wanted: number): number {
  const header = response.header('content-range') ?? '';
  const [, begin] = /^bytes (\d{1,15})-/.exec(header) ?? [];
  if (Number(begin) === wanted) return wanted;
  response.discard();
  throw registryError(
    response,
    `sends ${JSON.stringify(header.slice(0, 60))}, not from byte ${wanted}`,
  );
}

/** Reads a list that may come in pages. */
async function readPages<T>(
  server: RepositoryEndpoint,
  path: string,
  read: (page: Readonly<Record<string, unknown>>) => T[],
): Promise<T[]> {
  const items: T[] = [];
  let to: string | URL = path;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const response = await server.get({ to, headers: { accept: ACCEPT } });
    items.push(...read(jsonObject(parseJson(await response.read(MAX_LIST_BYTES), path), path)));
    const [, link] = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.header('link') ?? '') ?? [];
    const next = link === undefined ? null : URL.parse(link, response.url);
    // A page on another host is none of this list's.
    if (next?.origin !== response.url.origin) return items;
    to = next;
  }
  return items;
}

const manifestsOf = ({ manifests }: Readonly<Record<string, unknown>>): Descriptor[] =>
  arrayOf(manifests ?? [], 'manifests', 10_000).map((item, at) =>
    parseDescriptor(item, `manifests[${at}]`),
  );
