/**
 * One GET to a registry: follows redirects, keeps credentials at home, and turns every failure into
 * an error that names the URL and what was wrong there.
 *
 * Redirects are followed here and not by fetch(): registries send clients to storage services, which
 * must not get the Authorization header (CVE-2020-15157), and never from https to plain http.
 */
import { StrataError } from '@strata/namespaces';

export interface RequestOptions {
  url: URL;
  /** The value for Accept. */
  accept?: string | undefined;
  authorization?: string | undefined;
  signal?: AbortSignal | undefined;
}

const MAX_REDIRECTS = 5;
/** For the answer's head. Bodies have a time of their own, which starts anew with every chunk. */
const HEAD_TIMEOUT_MS = 60_000;
const STALL_TIMEOUT_MS = 60_000;
const MAX_ERROR_BYTES = 16_384;

/** The URL without query: queries of storage services are credentials. */
export const shownUrl = (url: URL): string => `${url.origin}${url.pathname}`;

/**
 * Sends a GET and follows redirects.
 * @returns the answer, whatever its status, and the URL it came from
 * @throws {StrataError} REGISTRY_UNREACHABLE, REGISTRY_ERROR
 */
export async function request(options: RequestOptions): Promise<{ response: Response; url: URL }> {
  let { url } = options;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const isHome = url.origin === options.url.origin;
    const response = await send({ ...options, url, ...(!isHome && { authorization: undefined }) });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || !location) return { response, url };
    await response.body?.cancel();
    url = redirected(url, location);
  }
  throw registryError(options.url, `redirects more than ${MAX_REDIRECTS} times`);
}

function redirected(from: URL, location: string): URL {
  const to = URL.parse(location, from);
  if (!to || !/^https?:$/.test(to.protocol)) {
    throw registryError(from, `redirects to ${JSON.stringify(location.slice(0, 200))}`);
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw registryError(from, `redirects from https to plain http at ${to.host}`);
  }
  return to;
}

async function send({ url, accept, authorization, signal }: RequestOptions): Promise<Response> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), HEAD_TIMEOUT_MS);
  const headers: Record<string, string> = {
    // Blobs are verified byte by byte as they are stored; a transfer encoding would change them.
    'accept-encoding': 'identity',
    'user-agent': 'strata',
    ...(accept && { accept }),
    ...(authorization && { authorization }),
  };
  try {
    return await fetch(url, {
      headers,
      redirect: 'manual',
      signal: AbortSignal.any([timeout.signal, ...(signal ? [signal] : [])]),
    });
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    const reason = timeout.signal.aborted
      ? `no answer within ${HEAD_TIMEOUT_MS / 1000} s`
      : causeOf(cause);
    throw new StrataError('REGISTRY_UNREACHABLE', `GET ${shownUrl(url)}: ${reason}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The chunks of an answer's body.
 * @throws {StrataError} REGISTRY_ERROR if the body ends early or stalls
 */
export async function* bodyChunks(response: Response, url: URL): AsyncGenerator<Uint8Array> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const announced = response.headers.get('content-length');
  let received = 0;
  try {
    for (;;) {
      const { done, value } = await withinTime(reader.read(), url);
      if (done) return;
      received += value.length;
      yield value;
    }
  } catch (cause) {
    if (cause instanceof StrataError) throw cause;
    const of = announced ? ` of ${announced}` : '';
    throw registryError(url, `the answer broke off after ${received}${of} bytes`, cause);
  } finally {
    // Also ends the connection of a body that nobody wants to the end; it may have failed already.
    await reader.cancel().catch(() => undefined);
  }
}

function withinTime<T>(promise: Promise<T>, url: URL): Promise<T> {
  return new Promise((resolve, reject) => {
    const seconds = STALL_TIMEOUT_MS / 1000;
    const stalled = (): void => reject(registryError(url, `no byte came for ${seconds} s`));
    const timer = setTimeout(stalled, STALL_TIMEOUT_MS);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** A body of limited size. @param limit bytes @throws {StrataError} REGISTRY_ERROR */
export async function readBody(response: Response, url: URL, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyChunks(response, url)) {
    size += chunk.length;
    if (size > limit) throw registryError(url, `the answer has more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The error for an answer that is no success, with what the registry says about it. */
export async function refusal(response: Response, url: URL): Promise<StrataError> {
  const { status } = response;
  const said = await whatItSaid(response, url);
  const message = `GET ${shownUrl(url)}: status ${status}${said ? `: ${said}` : ''}`;
  if (status === 401 || status === 403) {
    const hint = 'the image does not exist there, or it needs credentials';
    return new StrataError('UNAUTHORIZED', message, { hint });
  }
  if (status === 404) return new StrataError('NOT_IN_REGISTRY', message);
  return new StrataError('REGISTRY_ERROR', message);
}

/** `{"errors": [{"code": ..., "message": ...}]}` in one line; empty if the body is something else. */
async function whatItSaid(response: Response, url: URL): Promise<string> {
  try {
    const { errors } = JSON.parse((await readBody(response, url, MAX_ERROR_BYTES)).toString());
    const text = `${errors[0].code}: ${errors[0].message}`;
    return JSON.stringify(text.slice(0, 300)).slice(1, -1);
  } catch {
    // The status says enough; registries behind proxies answer with pages of HTML.
    return '';
  }
}

export function registryError(url: URL, reason: string, cause?: unknown): StrataError {
  return new StrataError('REGISTRY_ERROR', `GET ${shownUrl(url)}: ${reason}`, { cause });
}

/** fetch() says "fetch failed"; the reason is in its cause. */
function causeOf(error: unknown): string {
  const inner = error instanceof Error ? (error.cause ?? error) : error;
  if (!(inner instanceof Error)) return String(inner);
  return 'code' in inner && inner.message === '' ? String(inner.code) : inner.message;
}
