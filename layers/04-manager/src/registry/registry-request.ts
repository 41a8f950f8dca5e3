/**
 * One request to a registry: follows redirects, keeps credentials at home, tries again what may pass,
 * and turns every failure into an error that names the URL and what was wrong there.
 *
 * Redirects are followed here: registries send clients to storage services, which must not get the
 * Authorization header (CVE-2020-15157), and never from https to plain http.
 *
 *   429, 502, 503, 504, no answer    again, up to 4 times: after 0.25, 0.5, 1, 2 s, or when Retry-After says
 *   everything else                  the caller's
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestPlain } from 'node:http';
import { Agent as HttpsAgent, request as requestTls } from 'node:https';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { StrataError } from '@strata/namespaces';

/** What is sent. A stream is made anew for each try. */
export type RequestBody = Uint8Array | { open: () => Readable; size: number };

/** How the other side of a TLS connection is known, and we to it. PEM texts. */
export interface TlsSettings {
  ca?: readonly string[];
  certificate?: string;
  key?: string;
  /** Take whoever answers. */
  skipVerify?: boolean;
}

export interface RequestOptions {
  url: URL;
  /** Default: GET. */
  method?: string;
  headers?: Readonly<Record<string, string>> | undefined;
  authorization?: string | undefined;
  body?: RequestBody | undefined;
  tls?: TlsSettings | undefined;
  signal?: AbortSignal | undefined;
  /** Told before a wait. */
  onWait?: ((reason: string, milliseconds: number) => void) | undefined;
}

const MAX_REDIRECTS = 5;
/** For the answer's head. Bodies have a time of their own, which starts anew with every chunk. */
const HEAD_TIMEOUT_MS = 60_000;
const STALL_TIMEOUT_MS = 60_000;
const MAX_ERROR_BYTES = 16_384;
const FIRST_WAIT_MS = 250;
const MAX_TRIES = 5;
/** A registry that wants us to wait longer is told of as an error: whoever waits may decide. */
const MAX_WAIT_MS = 60_000;
const PASSING = new Set([429, 502, 503, 504]);

/** The URL without query: queries of storage services are credentials. */
export const shownUrl = (url: URL): string => `${url.origin}${url.pathname}`;

/** An answer whose body has not been read yet: read it, or `discard` it. */
export class RegistryResponse {
  readonly url: URL;
  readonly status: number;
  readonly #message: IncomingMessage;
  readonly #method: string;

  constructor(url: URL, method: string, message: IncomingMessage) {
    this.url = url;
    this.status = message.statusCode ?? 0;
    this.#message = message;
    this.#method = method;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** As in errors: `GET https://host/path`. */
  get shown(): string {
    return `${this.#method} ${shownUrl(this.url)}`;
  }

  header(name: string): string | undefined {
    const value = this.#message.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** Reads and drops a short body, so that the connection can be used again; ends that of a long one. */
  discard(): void {
    const length = Number(this.header('content-length') ?? Number.POSITIVE_INFINITY);
    this.#message.on('error', () => {});
    if (length <= MAX_ERROR_BYTES || this.#method === 'HEAD') this.#message.resume();
    else this.#message.destroy();
  }

  /**
   * The chunks of the body.
   * @throws {StrataError} REGISTRY_ERROR if it ends early or stalls
   */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const message = this.#message;
    const announced = this.header('content-length');
    let received = 0;
    const stalled = (): void => {
      const seconds = STALL_TIMEOUT_MS / 1000;
      message.destroy(registryError(this, `no byte came for ${seconds} s`));
    };
    let timer = setTimeout(stalled, STALL_TIMEOUT_MS);
    try {
      for await (const chunk of message as AsyncIterable<Buffer>) {
        clearTimeout(timer);
        received += chunk.length;
        yield chunk;
        timer = setTimeout(stalled, STALL_TIMEOUT_MS);
      }
    } catch (cause) {
      if (cause instanceof StrataError) throw cause;
      const of = announced ? ` of ${announced}` : '';
      throw registryError(this, `the answer broke off after ${received}${of} bytes`, cause);
    } finally {
      clearTimeout(timer);
      message.on('error', () => {});
      // Also ends the connection of a body that nobody wants to the end.
      message.destroy();
    }
  }

  /** A body of limited size. @param limit bytes @throws {StrataError} REGISTRY_ERROR */
  async read(limit: number): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.chunks()) {
      size += chunk.length;
      if (size > limit) throw registryError(this, `the answer has more than ${limit} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }
}

/**
 * Sends a request, follows redirects, and tries again what may pass.
 * @returns the answer, whatever its status
 * @throws {StrataError} REGISTRY_UNREACHABLE, REGISTRY_ERROR, RATE_LIMITED, or the signal's reason
 */
export async function request(options: RequestOptions): Promise<RegistryResponse> {
  for (let tries = 1; ; tries += 1) {
    let failure: unknown;
    let response: RegistryResponse | undefined;
    try {
      response = await follow(options);
      if (!PASSING.has(response.status) || tries === MAX_TRIES) return response;
    } catch (error) {
      const passes = error instanceof StrataError && error.code === 'REGISTRY_UNREACHABLE';
      if (!passes || tries === MAX_TRIES || isFinal(error)) throw error;
      failure = error;
    }
    const wait = response
      ? waitOf(response, tries)
      : { milliseconds: FIRST_WAIT_MS * 2 ** (tries - 1), reason: (failure as Error).message };
    response?.discard();
    options.onWait?.(wait.reason, wait.milliseconds);
    await sleep(wait.milliseconds, undefined, { signal: options.signal }).catch(() => {
      throw options.signal?.reason;
    });
  }
}

/** Nobody listens, or nobody of that name is known, or has the wrong papers: that does not pass in a second. */
function isFinal({ cause }: StrataError): boolean {
  const code = (cause as { code?: string } | undefined)?.code ?? '';
  return /^(ECONNREFUSED|ENOTFOUND|ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(
    code,
  );
}

function waitOf(
  response: RegistryResponse,
  tries: number,
): { milliseconds: number; reason: string } {
  const own = FIRST_WAIT_MS * 2 ** (tries - 1);
  const asked = retryAfter(response.header('retry-after'));
  if (asked !== undefined && asked > MAX_WAIT_MS) {
    response.discard();
    const seconds = Math.ceil(asked / 1000);
    throw new StrataError('RATE_LIMITED', `${response.shown}: status ${response.status}`, {
      hint: `the registry wants no request for ${seconds} s; with credentials it may allow more`,
    });
  }
  const reason = `${response.shown}: status ${response.status}`;
  return { milliseconds: Math.max(own, asked ?? 0), reason };
}

/** Milliseconds. @see RFC 9110, section 10.2.3 */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

async function follow(options: RequestOptions): Promise<RegistryResponse> {
  const { method = 'GET' } = options;
  let { url } = options;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const isHome = url.origin === options.url.origin;
    const own = isHome ? {} : { authorization: undefined, tls: undefined };
    const response = await send({ ...options, url, method, ...own });
    const location = response.header('location');
    if (response.status < 300 || response.status >= 400 || !location) return response;
    response.discard();
    url = redirected(response, location);
  }
  throw registryError(
    { shown: `${method} ${shownUrl(options.url)}` },
    `redirects more than ${MAX_REDIRECTS} times`,
  );
}

function redirected(from: RegistryResponse, location: string): URL {
  const to = URL.parse(location, from.url);
  if (!to || !/^https?:$/.test(to.protocol)) {
    throw registryError(from, `redirects to ${JSON.stringify(location.slice(0, 200))}`);
  }
  if (from.url.protocol === 'https:' && to.protocol === 'http:') {
    throw registryError(from, `redirects from https to plain http at ${to.host}`);
  }
  return to;
}

function send(options: RequestOptions & { method: string }): Promise<RegistryResponse> {
  const { url, method, body, signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<RegistryResponse>();
  const shown = `${method} ${shownUrl(url)}`;
  const fail = (cause: unknown): void => {
    if (signal?.aborted) reject(signal.reason);
    else if (cause instanceof StrataError) reject(cause);
    else {
      const message = `${shown}: ${reasonOf(cause)}`;
      reject(new StrataError('REGISTRY_UNREACHABLE', message, { cause }));
    }
  };
  try {
    const isTls = url.protocol === 'https:';
    const sending = (isTls ? requestTls : requestPlain)(url, {
      method,
      headers: headersOf(options),
      agent: isTls ? tlsAgent(options.tls) : PLAIN_AGENT,
      signal,
    });
    const late = (): void => {
      sending.destroy(new Error(`no answer within ${HEAD_TIMEOUT_MS / 1000} s`));
    };
    let timer = setTimeout(late, HEAD_TIMEOUT_MS);
    sending.on('close', () => clearTimeout(timer));
    sending.on('error', fail);
    sending.on('response', (message) => {
      clearTimeout(timer);
      resolve(new RegistryResponse(url, method, message));
    });
    if (body === undefined || body instanceof Uint8Array) {
      sending.end(body);
    } else {
      const source = body.open();
      source.on('error', (error) => sending.destroy(error));
      // While bytes go out, nobody is late.
      source.on('data', () => {
        clearTimeout(timer);
        timer = setTimeout(late, HEAD_TIMEOUT_MS);
      });
      sending.on('close', () => source.destroy());
      source.pipe(sending);
    }
  } catch (cause) {
    fail(cause);
  }
  return promise;
}

function headersOf({ headers, authorization, body }: RequestOptions): Record<string, string> {
  const size = body instanceof Uint8Array ? body.length : body?.size;
  return {
    // Blobs are verified byte by byte as they are stored; a transfer encoding would change them.
    'accept-encoding': 'identity',
    'user-agent': 'strata',
    ...headers,
    ...(size !== undefined && { 'content-length': String(size) }),
    ...(authorization && { authorization }),
  };
}

const AGENT = { keepAlive: true, maxSockets: 16 };
const PLAIN_AGENT = new HttpAgent(AGENT);
const TLS_AGENTS = new Map<string, HttpsAgent>();

/** Connections are shared by those who know the other side in the same way. */
function tlsAgent(tls: TlsSettings = {}): HttpsAgent {
  const key = JSON.stringify([tls.ca, tls.certificate, tls.key, tls.skipVerify]);
  let agent = TLS_AGENTS.get(key);
  if (!agent) {
    agent = new HttpsAgent({
      ...AGENT,
      ...(tls.ca && { ca: [...tls.ca] }),
      ...(tls.certificate !== undefined && { cert: tls.certificate }),
      ...(tls.key !== undefined && { key: tls.key }),
      rejectUnauthorized: !tls.skipVerify,
    });
    TLS_AGENTS.set(key, agent);
  }
  return agent;
}

/** The error for an answer that is no success, with what the registry says about it. */
export async function refusal(response: RegistryResponse): Promise<StrataError> {
  const { status } = response;
  const said = await whatItSaid(response);
  const message = `${response.shown}: status ${status}${said ? `: ${said}` : ''}`;
  if (status === 401 || status === 403) {
    const hint = 'the image does not exist there, or it needs credentials: strata login';
    return new StrataError('UNAUTHORIZED', message, { hint });
  }
  if (status === 404) return new StrataError('NOT_IN_REGISTRY', message);
  if (status === 429) return new StrataError('RATE_LIMITED', message);
  return new StrataError('REGISTRY_ERROR', message);
}

/** `{"errors": [{"code": ..., "message": ...}]}` in one line; empty if the body is something else. */
async function whatItSaid(response: RegistryResponse): Promise<string> {
  try {
    const { errors } = JSON.parse((await response.read(MAX_ERROR_BYTES)).toString());
    const text = `${errors[0].code}: ${errors[0].message}`;
    return JSON.stringify(text.slice(0, 300)).slice(1, -1);
  } catch {
    // The status says enough; registries behind proxies answer with pages of HTML.
    return '';
  }
}

/** @param answer whose fault it is */
export function registryError(
  answer: { shown: string },
  reason: string,
  cause?: unknown,
): StrataError {
  return new StrataError('REGISTRY_ERROR', `${answer.shown}: ${reason}`, { cause });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Of several addresses tried: the last one's.
  const inner = error instanceof AggregateError ? error.errors.at(-1) : error;
  return inner.message || ('code' in inner ? String(inner.code) : inner.name);
}
