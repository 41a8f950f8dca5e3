/**
 * A ttrpc server on a unix socket.
 *
 *   const server = new TtrpcServer({
 *     'containerd.task.v2.Task': { Kill: unary(KillRequest, Empty, (request) => ...) },
 *   });
 *   await server.listen('/run/strata/shim/shim.sock');
 *
 * What a peer can make us hold is bounded (see connection.ts).
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { Connection } from './connection.ts';
import type { Services } from './method.ts';

export class TtrpcServer {
  readonly #services: Services;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Called when the number of connections has changed. */
  onConnections: ((open: number) => void) | undefined;

  constructor(services: Services) {
    this.#services = services;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Listens on a path of the file system; there must be nothing at it. */
  async listen(path: string): Promise<void> {
    this.#server.listen(path);
    await once(this.#server, 'listening');
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Stops listening, and drops all connections when what was answered is sent. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroySoon();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    this.onConnections?.(this.#sockets.size);
    const connection = new Connection(socket, this.#services);
    // A peer that resets the connection is a peer that has gone; 'close' follows.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      connection.abort();
      this.#sockets.delete(socket);
      this.onConnections?.(this.#sockets.size);
    });
    socket.on('data', (chunk: Buffer) => connection.receive(chunk));
  }
}
