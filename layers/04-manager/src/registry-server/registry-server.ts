/**
 * A registry: the server's side of the OCI distribution specification 1.1, for one machine.
 *
 *   await using registry = await RegistryServer.open({ directory: '/var/lib/strata/registry' });
 *   registry.address      'http://127.0.0.1:5000'
 *
 *   request ─▶ who asks? ─▶ route ─▶ blob-routes, manifest-routes ─▶ repositories, uploads
 *                                            └─ StrataError ─▶ registry-failure ─▶ {"errors": [...]}
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { StrataError } from '@strata/namespaces';
import type { Credentials } from '../registry/registry-client.ts';
import { isAllowed } from './authorization.ts';
import { beginUpload, blob, upload } from './blob-routes.ts';
import { Exchange } from './exchange.ts';
import { catalog, manifest, referrers, tagList } from './manifest-routes.ts';
import { answerTo, failure, INTERNAL } from './registry-failure.ts';
import { Repositories } from './repositories.ts';
import { parseRoute, type Route } from './route.ts';
import { Uploads } from './uploads.ts';

export interface RegistryServerOptions {
  /** Where everything is kept; made if it is not there. */
  directory: string;
  /** Default: loopback. */
  host?: string | undefined;
  /** Default: one that is free. */
  port?: number | undefined;
  /** PEM texts; without them plain HTTP. */
  tls?: { certificate: string; key: string } | undefined;
  /** Whoever has not these is refused. */
  credentials?: Credentials | undefined;
  /** Hears of errors that are the registry's own fault. */
  report?: (error: unknown) => void;
}

/** Longest time without a byte on a connection. */
const IDLE_TIMEOUT_MS = 120_000;

const METHODS: Readonly<Record<Route['kind'], readonly string[]>> = {
  base: ['GET', 'HEAD'],
  catalog: ['GET'],
  tags: ['GET'],
  referrers: ['GET'],
  manifest: ['GET', 'HEAD', 'PUT', 'DELETE'],
  blob: ['GET', 'HEAD', 'DELETE'],
  uploads: ['POST'],
  upload: ['GET', 'PATCH', 'PUT', 'DELETE'],
};

export class RegistryServer implements AsyncDisposable {
  readonly #options: RegistryServerOptions;
  readonly #repositories: Repositories;
  readonly #uploads: Uploads;
  readonly #server: Server;

  private constructor(options: RegistryServerOptions, repositories: Repositories) {
    const { tls } = options;
    const serve = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#serve(request, response);
    };
    this.#options = options;
    this.#repositories = repositories;
    this.#uploads = new Uploads(() => repositories.writer());
    this.#server = tls
      ? createTlsServer({ cert: tls.certificate, key: tls.key }, serve)
      : createServer(serve);
    // A layer may take as long as it does; what stands still is cut off.
    this.#server.requestTimeout = 0;
    this.#server.timeout = IDLE_TIMEOUT_MS;
  }

  /** @throws {StrataError} REGISTRY_IN_USE, LISTEN (the address cannot be had) */
  static async open(options: RegistryServerOptions): Promise<RegistryServer> {
    const repositories = new Repositories(options.directory);
    const registry = new RegistryServer(options, repositories);
    try {
      await registry.#listen();
      return registry;
    } catch (error) {
      await registry[Symbol.asyncDispose]();
      throw error;
    }
  }

  get address(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    const host = family === 'IPv6' ? `[${address}]` : address;
    return `${this.#options.tls ? 'https' : 'http'}://${host}:${port}`;
  }

  /** Ends all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    this.#uploads[Symbol.dispose]();
    this.#repositories[Symbol.dispose]();
  }

  async #listen(): Promise<void> {
    const { host = '127.0.0.1', port = 0 } = this.#options;
    try {
      this.#server.listen(port, host);
      await once(this.#server, 'listening');
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new StrataError('LISTEN', `cannot listen on ${host}:${port}: ${reason}`, { cause });
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('docker-distribution-api-version', 'registry/2.0');
    const url = URL.parse(request.url ?? '', 'http://registry');
    const exchange = new Exchange(request, response, url?.searchParams ?? new URLSearchParams());
    try {
      await this.#route(url?.pathname ?? '', exchange);
    } catch (error) {
      this.#refuse(exchange, error);
    }
  }

  async #route(path: string, exchange: Exchange): Promise<void> {
    const { credentials } = this.#options;
    if (credentials && !isAllowed(exchange.request.headers.authorization, credentials)) {
      exchange.response.setHeader('www-authenticate', 'Basic realm="strata registry"');
      throw failure('UNAUTHORIZED', 'a name and a password are needed');
    }
    const route = parseRoute(path);
    if (!route) throw failure('NAME_UNKNOWN', 'this is no path of a registry');
    const methods = METHODS[route.kind];
    if (!methods.includes(exchange.method)) {
      exchange.response.setHeader('allow', methods.join(', '));
      throw failure('UNSUPPORTED', `${exchange.method.slice(0, 20)} is not for this path`);
    }
    await this.#perform(route, exchange);
  }

  async #perform(route: Route, exchange: Exchange): Promise<void> {
    const repositories = this.#repositories;
    const blobs = { repositories, uploads: this.#uploads };
    switch (route.kind) {
      case 'base':
        return exchange.json({});
      case 'catalog':
        return catalog(repositories, exchange);
      case 'tags':
        return tagList(repositories, route.name, exchange);
      case 'referrers':
        return referrers(repositories, route, exchange);
      case 'manifest':
        return await manifest(repositories, route, exchange);
      case 'blob':
        return await blob(blobs, route, exchange);
      case 'uploads':
        return await beginUpload(blobs, route, exchange);
      case 'upload':
        return await upload(blobs, route, exchange);
    }
  }

  #refuse(exchange: Exchange, error: unknown): void {
    const { request, response } = exchange;
    const answer = answerTo(error);
    // A client that went away half-way is no error of ours.
    if (!answer && !request.destroyed && !response.destroyed) this.#options.report?.(error);
    if (response.headersSent) {
      // Half an answer must not look like a whole one.
      response.destroy();
      return;
    }
    const { status, body } = answer ?? INTERNAL;
    // What is still to come is not worth waiting for.
    if (!request.complete) response.setHeader('connection', 'close');
    exchange.answer(status, { 'content-type': 'application/json' }, body);
  }
}
