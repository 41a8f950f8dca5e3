/**
 * Reads one repository of a registry.
 *
 *   GET /v2/<path>/manifests/<tag or digest>    a manifest or an index
 *   GET /v2/<path>/blobs/<digest>               a configuration or a layer
 *
 * Asks without credentials first; on 401 does what the challenge says, once, and keeps the result.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull
 */
import { StrataError } from '@strata/namespaces';
import { algorithmOf, type Digest, digestOf, isDigest } from '../content/digest.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST_BYTES } from '../images/manifest.ts';
import type { Reference } from '../references/reference.ts';
import { type Challenge, parseChallenge } from './challenge.ts';
import {
  bodyChunks,
  readBody,
  refusal,
  registryError,
  request,
  shownUrl,
} from './registry-request.ts';

export interface Credentials {
  username: string;
  password: string;
}

export interface RegistryOptions {
  /** Speak plain HTTP to a registry that is not on this machine. */
  insecure?: boolean | undefined;
  credentials?: Credentials | undefined;
  signal?: AbortSignal | undefined;
}

const ACCEPT = [...MANIFEST_TYPES, ...INDEX_TYPES].join(', ');
const MAX_TOKEN_BYTES = 1 << 20;
/** Docker's registry answers under another name than its images have. */
const HOSTS: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };

export class RegistryClient {
  readonly #reference: Reference;
  readonly #options: RegistryOptions;
  readonly #base: URL;
  #authorization: string | undefined;

  constructor(reference: Reference, options: RegistryOptions = {}) {
    this.#reference = reference;
    this.#options = options;
    const host = HOSTS[reference.domain] ?? reference.domain;
    const scheme = options.insecure || isLoopback(host) ? 'http' : 'https';
    this.#base = new URL(`${scheme}://${host}/v2/${reference.path}/`);
  }

  /**
   * Fetches the document that the reference, or a digest, stands for.
   * @throws {StrataError} NOT_IN_REGISTRY, UNAUTHORIZED, REGISTRY_*, DIGEST_MISMATCH
   */
  async manifest(digest?: Digest): Promise<{ descriptor: Descriptor; bytes: Buffer }> {
    const wanted = digest ?? this.#reference.digest;
    const { response, url } = await this.#get(`manifests/${wanted ?? this.#reference.tag}`, ACCEPT);
    const mediaType = (response.headers.get('content-type') ?? '').split(';')[0]!.trim();
    if (!MANIFEST_TYPES.includes(mediaType) && !INDEX_TYPES.includes(mediaType)) {
      await response.body?.cancel();
      const shown = JSON.stringify(mediaType.slice(0, 100));
      throw registryError(url, `the answer is of type ${shown}, not an image manifest`);
    }
    const bytes = await readBody(response, url, MAX_MANIFEST_BYTES);
    const announced = wanted ?? response.headers.get('docker-content-digest');
    const found = digestOf(bytes, isDigest(announced) ? algorithmOf(announced) : 'sha256');
    if (announced !== null && announced !== found) {
      const message = `GET ${shownUrl(url)}: the manifest has the digest ${found}, not ${announced.slice(0, 80)}`;
      throw new StrataError('DIGEST_MISMATCH', message);
    }
    return { descriptor: { mediaType, digest: found, size: bytes.length }, bytes };
  }

  /** The bytes of a blob, not yet verified. @throws as `manifest`, also while it is read */
  async *blob(digest: Digest): AsyncGenerator<Uint8Array> {
    const { response, url } = await this.#get(`blobs/${digest}`);
    yield* bodyChunks(response, url);
  }

  async #get(path: string, accept?: string): Promise<{ response: Response; url: URL }> {
    const first = await this.#send(path, accept);
    if (first.response.ok) return first;
    const challenge = this.#challengeOf(first.response);
    if (!challenge) throw await refusal(first.response, first.url);
    await first.response.body?.cancel();
    this.#authorization = await this.#authorize(challenge);
    const second = await this.#send(path, accept);
    if (second.response.ok) return second;
    throw await refusal(second.response, second.url);
  }

  #send(path: string, accept?: string): Promise<{ response: Response; url: URL }> {
    const { signal } = this.#options;
    const url = new URL(path, this.#base);
    return request({ url, accept, signal, authorization: this.#authorization });
  }

  #challengeOf(response: Response): Challenge | undefined {
    if (response.status !== 401) return undefined;
    return parseChallenge(response.headers.get('www-authenticate'));
  }

  async #authorize(challenge: Challenge): Promise<string> {
    const { credentials, signal } = this.#options;
    const basic = credentials && basicAuthorization(credentials);
    if (challenge.scheme === 'basic') {
      if (basic) return basic;
      throw new StrataError('UNAUTHORIZED', `${this.#base.host} asks for a name and a password`);
    }
    const url = this.#tokenUrl(challenge);
    const answer = await request({ url, signal, authorization: basic });
    if (!answer.response.ok) throw await refusal(answer.response, answer.url);
    const body = await readBody(answer.response, answer.url, MAX_TOKEN_BYTES);
    return `Bearer ${tokenOf(body, url)}`;
  }

  #tokenUrl(challenge: Challenge & { scheme: 'bearer' }): URL {
    const url = URL.parse(challenge.realm);
    const isAllowed = url?.protocol === 'https:' || url?.protocol === this.#base.protocol;
    if (!url || !isAllowed) {
      const realm = JSON.stringify(challenge.realm.slice(0, 200));
      throw registryError(this.#base, `sends us to ${realm} for a token`);
    }
    if (challenge.service) url.searchParams.set('service', challenge.service);
    // Our own words, not the challenge's: a token must not be good for more than reading this.
    url.searchParams.set('scope', `repository:${this.#reference.path}:pull`);
    return url;
  }
}

const basicAuthorization = ({ username, password }: Credentials): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

function tokenOf(body: Buffer, url: URL): string {
  let answer: { token?: unknown; access_token?: unknown };
  try {
    answer = JSON.parse(body.toString()) ?? {};
  } catch (cause) {
    throw registryError(url, 'the answer is no token: not JSON', cause);
  }
  const token = answer.token ?? answer.access_token;
  if (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) return token;
  throw registryError(url, 'the answer has no token in it');
}

/** On this machine nobody listens in, and local registries rarely have certificates. */
function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);
}
