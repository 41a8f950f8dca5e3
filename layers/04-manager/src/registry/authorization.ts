/**
 * How one server of a registry is told who asks.
 *
 *   401 WWW-Authenticate: Basic       name and password with every request
 *   401 WWW-Authenticate: Bearer      a token from its realm, for what is to be done and no more
 *     GET  realm?service=..&scope=repository:PATH:pull      with name and password, or anonymously
 *     POST realm  grant_type=refresh_token ...              with an identity token
 *
 * Nothing is sent before it is asked for, and the credentials are looked up then.
 * @see https://distribution.github.io/distribution/spec/auth/token/, .../oauth/
 */
import { StrataError } from '@strata/namespaces';
import type { Challenge } from './challenge.ts';
import type { Secret } from './credential-store.ts';
import {
  type RegistryResponse,
  type RequestOptions,
  refusal,
  registryError,
  request,
} from './registry-request.ts';

const MAX_TOKEN_BYTES = 1 << 20;

export class Authorization {
  readonly #base: URL;
  readonly #secret: () => Promise<Secret | undefined>;
  readonly #common: Pick<RequestOptions, 'tls' | 'signal' | 'onWait'>;
  /** By scope; '' for Basic, which is the same for all. */
  readonly #headers = new Map<string, string>();
  /** By scope: several requests at once need one token. */
  readonly #underWay = new Map<string, Promise<string>>();

  constructor(
    base: URL,
    secret: () => Promise<Secret | undefined>,
    common: Pick<RequestOptions, 'tls' | 'signal' | 'onWait'>,
  ) {
    this.#base = base;
    this.#secret = secret;
    this.#common = common;
  }

  /** The header that served for these scopes before. */
  header(scopes: readonly string[]): string | undefined {
    return this.#headers.get(scopes.join(' ')) ?? this.#headers.get('');
  }

  /**
   * Does what a challenge asks for.
   * @param refused the header that was not enough
   * @returns the header
   * @throws {StrataError} UNAUTHORIZED, REGISTRY_ERROR, CREDENTIAL_HELPER, ...
   */
  answer(
    challenge: Challenge,
    scopes: readonly string[],
    refused?: string | undefined,
  ): Promise<string> {
    const key = scopes.join(' ');
    const current = this.header(scopes);
    if (current !== undefined && current !== refused) return Promise.resolve(current);
    const running = this.#underWay.get(key);
    if (running) return running;
    const answering = this.#answer(challenge, scopes).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, answering);
    return answering;
  }

  async #answer(challenge: Challenge, scopes: readonly string[]): Promise<string> {
    const secret = await this.#secret();
    if (challenge.scheme === 'basic') return this.#keep('', this.#basic(secret));
    if (secret && 'registryToken' in secret)
      return this.#keep('', `Bearer ${secret.registryToken}`);
    const url = this.#realm(challenge);
    const answer =
      secret && 'identityToken' in secret
        ? await this.#refresh(url, challenge, scopes, secret.identityToken)
        : await this.#ask(url, challenge, scopes, secret);
    if (!answer.ok) throw await refusal(answer);
    const token = tokenOf(await answer.read(MAX_TOKEN_BYTES), answer);
    return this.#keep(scopes.join(' '), `Bearer ${token}`);
  }

  #keep(key: string, header: string): string {
    this.#headers.set(key, header);
    return header;
  }

  #basic(secret: Secret | undefined): string {
    if (secret && 'password' in secret) return basicHeader(secret);
    throw new StrataError('UNAUTHORIZED', `${this.#base.host} asks for a name and a password`, {
      hint: `strata login ${this.#base.host}`,
    });
  }

  #ask(
    url: URL,
    { service }: Challenge & { scheme: 'bearer' },
    scopes: readonly string[],
    secret: Secret | undefined,
  ): Promise<RegistryResponse> {
    if (service) url.searchParams.set('service', service);
    // Our own words, not the challenge's: a token must not be good for more than what we do.
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const authorization = secret && 'password' in secret ? basicHeader(secret) : undefined;
    return request({ ...this.#common, url, authorization });
  }

  #refresh(
    url: URL,
    { service }: Challenge & { scheme: 'bearer' },
    scopes: readonly string[],
    identityToken: string,
  ): Promise<RegistryResponse> {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      service: service ?? this.#base.host,
      client_id: 'strata',
      scope: scopes.join(' '),
      refresh_token: identityToken,
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = Buffer.from(form.toString());
    return request({ ...this.#common, url, method: 'POST', headers, body });
  }

  #realm({ realm }: Challenge & { scheme: 'bearer' }): URL {
    const url = URL.parse(realm);
    if (url?.protocol === 'https:' || (url && url.protocol === this.#base.protocol)) return url;
    const shown = JSON.stringify(realm.slice(0, 200));
    throw registryError(
      { shown: `GET ${this.#base.origin}${this.#base.pathname}` },
      `sends us to ${shown} for a token`,
    );
  }
}

const basicHeader = ({ username, password }: { username: string; password: string }): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

function tokenOf(body: Buffer, from: RegistryResponse): string {
  let answer: { token?: unknown; access_token?: unknown };
  try {
    answer = JSON.parse(body.toString()) ?? {};
  } catch (cause) {
    throw registryError(from, 'the answer is no token: not JSON', cause);
  }
  const token = answer.token ?? answer.access_token;
  if (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) return token;
  throw registryError(from, 'the answer has no token in it');
}
