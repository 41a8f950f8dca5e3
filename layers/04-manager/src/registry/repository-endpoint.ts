/** One repository on one server: sends requests there, and says who asks where the server wants to know. */
import type { Reference } from '../references/reference.ts';
import { Authorization } from './authorization.ts';
import { parseChallenge } from './challenge.ts';
import { type Credentials, findSecret } from './credential-store.ts';
import type { Endpoint } from './registry-hosts.ts';
import {
  type RegistryResponse,
  type RequestOptions,
  refusal,
  request,
} from './registry-request.ts';

export interface EndpointOptions {
  /** Whose registry the server stands for, where it is a mirror. */
  mirrorOf?: string | undefined;
  /** In place of what files and helpers know. */
  credentials?: Credentials | undefined;
  signal?: AbortSignal | undefined;
  onWait?: RequestOptions['onWait'];
}

export interface EndpointRequest extends Pick<RequestOptions, 'method' | 'headers' | 'body'> {
  /** Relative to the repository, 'manifests/latest', or the URL that the server has named. */
  to: string | URL;
  /** Default: pull. */
  action?: 'pull' | 'push';
  /** Another repository that is read from at the same time. */
  from?: string;
}

export class RepositoryEndpoint {
  readonly endpoint: Endpoint;
  readonly #path: string;
  readonly #options: EndpointOptions;
  readonly #authorization: Authorization;

  constructor(endpoint: Endpoint, reference: Reference, options: EndpointOptions) {
    this.endpoint = endpoint;
    this.#path = reference.path;
    this.#options = options;
    const { credentials, mirrorOf, signal, onWait } = options;
    const host = mirrorOf === undefined ? reference.domain : endpoint.base.host;
    const secret = async () => credentials ?? (await findSecret(host, reference.path));
    const common = { tls: endpoint.tls, signal, onWait };
    this.#authorization = new Authorization(endpoint.base, secret, common);
  }

  get host(): string {
    return this.endpoint.base.host;
  }

  /** @returns the answer, a success @throws {StrataError} what `refusal` says of all others */
  async get(wanted: EndpointRequest): Promise<RegistryResponse> {
    const response = await this.send(wanted);
    if (response.ok) return response;
    throw await refusal(response);
  }

  /** @returns the answer, whatever its status */
  async send(wanted: EndpointRequest): Promise<RegistryResponse> {
    const { action = 'pull', from } = wanted;
    const scopes = [
      `repository:${this.#path}:${action === 'push' ? 'pull,push' : 'pull'}`,
      ...(from === undefined ? [] : [`repository:${from}:pull`]),
    ];
    const before = this.#authorization.header(scopes);
    const first = await this.#send(wanted, before);
    const challenge =
      first.status === 401 ? parseChallenge(first.header('www-authenticate') ?? null) : undefined;
    if (!challenge) return first;
    first.discard();
    const header = await this.#authorization.answer(challenge, scopes, before);
    return await this.#send(wanted, header);
  }

  #send(wanted: EndpointRequest, authorization: string | undefined): Promise<RegistryResponse> {
    const { base, headers, tls } = this.endpoint;
    const { signal, onWait, mirrorOf } = this.#options;
    const url = wanted.to instanceof URL ? wanted.to : new URL(`${base}${this.#path}/${wanted.to}`);
    if (mirrorOf !== undefined) url.searchParams.set('ns', mirrorOf);
    return request({
      url,
      method: wanted.method ?? 'GET',
      headers: { ...headers, ...wanted.headers },
      body: wanted.body,
      // A server may send us to a storage service, which is none of its credentials' business.
      ...(url.origin === base.origin && { authorization, tls }),
      signal,
      onWait,
    });
  }
}
