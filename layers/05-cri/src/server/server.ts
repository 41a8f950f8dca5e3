/**
 * The gRPC server on its unix socket.
 *
 *   const server = await CriServer.listen({ path: '/run/strata/cri.sock', services });
 *   ...
 *   await server.close();     // answers the calls under way, then removes the socket
 *
 * Nothing in it belongs to a container: it may be killed at any time, and the next one takes over.
 */
import { Server, ServerCredentials, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { StrataError } from '@strata/namespaces';
import { claimSocketPath } from './listening-socket.ts';
import { MESSAGE_LIMIT_BYTES } from './message-limit.ts';
import { type ServiceDescriptor, serviceDefinition } from './service-definition.ts';

export interface ServedService {
  readonly service: ServiceDescriptor;
  readonly implementation: UntypedServiceImplementation;
}

export interface ListenOptions {
  /** An absolute path. */
  readonly path: string;
  readonly services: readonly ServedService[];
}

/** Calls under way at once on one connection; a client's further ones wait on its side. */
const CONCURRENT_CALLS = 256;

/** How long `close` waits for calls under way, in milliseconds. */
const CLOSE_GRACE_MS = 5000;

/** Owner only, whatever the umask was. */
const SOCKET_UMASK = 0o177;

export class CriServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Binds and serves.
   * @throws EADDRINUSE if a server answers there already
   */
  static async listen(options: ListenOptions): Promise<CriServer> {
    const server = new Server({
      'grpc.max_receive_message_length': MESSAGE_LIMIT_BYTES,
      'grpc.max_send_message_length': MESSAGE_LIMIT_BYTES,
      'grpc.max_concurrent_streams': CONCURRENT_CALLS,
    });
    for (const { service, implementation } of options.services) {
      server.addService(serviceDefinition(service), implementation);
    }
    await claimSocketPath(options.path);
    const umask = process.umask(SOCKET_UMASK);
    try {
      await bind(server, options.path);
    } finally {
      process.umask(umask);
    }
    return new CriServer(server);
  }

  /** Takes no more calls, waits for those under way (at most `graceMs`), removes the socket. */
  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    const { promise: drained, resolve } = Promise.withResolvers<void>();
    const deadline = setTimeout(() => {
      this.#server.forceShutdown();
      resolve();
    }, graceMs);
    this.#server.tryShutdown(() => resolve());
    await drained;
    clearTimeout(deadline);
  }
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix://${path}`, ServerCredentials.createInsecure(), (error) => {
      if (!error) return resolve();
      const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
      reject(new StrataError(code, `cannot listen on ${path}: ${error.message}`, { cause: error }));
    });
  });
}
