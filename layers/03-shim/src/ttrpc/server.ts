/**
 * A ttrpc server on a unix socket.
 *
 *   const server = new TtrpcServer({
 *     'containerd.task.v2.Task': { Kill: unary(KillRequest, Empty, (request) => ...) },
 *   });
 *   await server.listen('/run/strata/shim/shim.sock');
 *
 * What a peer can make us hold is bounded: 4 MB of an unfinished frame, 4096 calls of a connection,
 * and a socket's buffer of a stream's data (a slow reader slows its stream down).
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Attributes, StrataError, span } from '@strata/namespaces';
import { Request, type RequestValue, Response } from './envelope.ts';
import {
  encodeFrame,
  FLAG_NO_DATA,
  FLAG_REMOTE_CLOSED,
  FLAG_REMOTE_OPEN,
  type Frame,
  FrameReader,
  TYPE_DATA,
  TYPE_REQUEST,
  TYPE_RESPONSE,
} from './frame.ts';
import type { Message } from './message.ts';
import { statusOfError } from './status.ts';

const MAX_CALLS = 4096;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export interface CallContext {
  /** Aborted when the caller has gone or its time is over. */
  signal: AbortSignal;
}

export type Method =
  | { kind: 'unary'; call(payload: Uint8Array, context: CallContext): Promise<Uint8Array> }
  | { kind: 'stream'; call(payload: Uint8Array, context: CallContext): AsyncIterable<Uint8Array> };

export type Services = Record<string, Record<string, Method>>;

type Answer<T> = Promise<T> | T;

export function unary<Q, A>(
  request: Message<Q>,
  response: Message<A>,
  handler: (request: Q, context: CallContext) => Answer<Partial<A>>,
): Method {
  return {
    kind: 'unary',
    call: async (payload, context) =>
      response.encode(await handler(request.decode(payload), context)),
  };
}

export function serverStream<Q, A>(
  request: Message<Q>,
  response: Message<A>,
  handler: (request: Q, context: CallContext) => AsyncIterable<Partial<A>>,
): Method {
  return {
    kind: 'stream',
    async *call(payload, context) {
      for await (const item of handler(request.decode(payload), context)) {
        yield response.encode(item);
      }
    },
  };
}

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

class Connection {
  readonly #socket: Socket;
  readonly #services: Services;
  readonly #reader = new FrameReader();
  readonly #calls = new Map<number, AbortController>();
  #lastStreamId = 0;

  constructor(socket: Socket, services: Services) {
    this.#socket = socket;
    this.#services = services;
  }

  receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#handle(frame);
    } catch (error) {
      // Frames that cannot be told apart: nothing more can be understood, or answered.
      this.#socket.destroy();
      if (!(error instanceof StrataError)) throw error;
    }
  }

  abort(): void {
    for (const controller of this.#calls.values()) controller.abort();
    this.#calls.clear();
  }

  #handle(frame: Frame): void {
    const { streamId } = frame;
    // Our methods take one request message; data of a client's stream has nothing to add.
    if (frame.type === TYPE_DATA && this.#calls.has(streamId)) return;
    try {
      this.#admit(frame);
      const request = Request.decode(frame.data);
      const method = this.#find(request);
      const controller = new AbortController();
      this.#calls.set(streamId, controller);
      void this.#run(frame, { request, method, controller });
    } catch (error) {
      this.#fail(streamId, error);
    }
  }

  #admit(frame: Frame): void {
    const { streamId, type } = frame;
    if (frame.oversized !== undefined) {
      throw new StrataError('MESSAGE_TOO_LARGE', `message of ${frame.oversized} bytes`, {
        hint: '4 MB is the most ttrpc carries',
      });
    }
    if (type !== TYPE_REQUEST) {
      throw new StrataError('INVALID_MESSAGE', `unexpected frame of type ${type}`);
    }
    if (streamId % 2 !== 1 || streamId <= this.#lastStreamId) {
      throw new StrataError('INVALID_MESSAGE', `stream id ${streamId} is not a new odd number`);
    }
    this.#lastStreamId = streamId;
    if (this.#calls.size >= MAX_CALLS) {
      throw new StrataError('TOO_MANY_CALLS', `${MAX_CALLS} calls are under way`);
    }
  }

  #find(request: RequestValue): Method {
    const { service, method } = request;
    const methods = Object.hasOwn(this.#services, service) ? this.#services[service] : undefined;
    const found = methods && Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (found) return found;
    throw new StrataError('UNIMPLEMENTED', `no method /${service}/${method}`);
  }

  async #run(
    frame: Frame,
    call: { request: RequestValue; method: Method; controller: AbortController },
  ): Promise<void> {
    const { request, method, controller } = call;
    const { streamId } = frame;
    const timer = this.#deadline(streamId, request.timeoutNano);
    const traceparent = request.metadata.find(({ key }) => key === 'traceparent')?.value;
    const attributes: Attributes = { 'rpc.service': request.service, 'rpc.method': request.method };
    const context = { signal: controller.signal };
    try {
      await span(
        `shim.${request.method}`,
        attributes,
        async () => {
          if (method.kind === 'unary') {
            this.#respond(streamId, await method.call(request.payload, context));
            return;
          }
          const open = (frame.flags & (FLAG_REMOTE_CLOSED | FLAG_REMOTE_OPEN)) !== 0;
          if (!open) throw new StrataError('INVALID_MESSAGE', 'a streaming method called as unary');
          await this.#stream(streamId, method.call(request.payload, context));
        },
        { traceparent },
      );
    } catch (error) {
      if (this.#calls.has(streamId)) this.#fail(streamId, error);
    } finally {
      clearTimeout(timer);
      this.#calls.delete(streamId);
    }
  }

  #deadline(streamId: number, nanoseconds: bigint): NodeJS.Timeout | undefined {
    if (nanoseconds <= 0n) return undefined;
    const milliseconds = Math.min(Math.ceil(Number(nanoseconds) / 1e6), MAX_TIMEOUT_MS);
    return setTimeout(() => {
      const controller = this.#calls.get(streamId);
      if (!controller) return;
      this.#calls.delete(streamId);
      controller.abort();
      this.#fail(streamId, new StrataError('DEADLINE_EXCEEDED', `not done in ${milliseconds} ms`));
    }, milliseconds);
  }

  async #stream(streamId: number, items: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const data of items) {
      if (!this.#calls.has(streamId)) return;
      const written = this.#socket.write(encodeFrame({ streamId, type: TYPE_DATA, data }));
      if (!written) await Promise.race([once(this.#socket, 'drain'), once(this.#socket, 'close')]);
    }
    const flags = FLAG_REMOTE_CLOSED | FLAG_NO_DATA;
    this.#socket.write(encodeFrame({ streamId, type: TYPE_DATA, flags, data: new Uint8Array() }));
  }

  #respond(streamId: number, payload: Uint8Array): void {
    if (!this.#calls.has(streamId)) return;
    const data = Response.encode({ payload });
    this.#socket.write(encodeFrame({ streamId, type: TYPE_RESPONSE, data }));
  }

  #fail(streamId: number, error: unknown): void {
    if (this.#socket.destroyed) return;
    const data = Response.encode({ status: statusOfError(error) });
    this.#socket.write(encodeFrame({ streamId, type: TYPE_RESPONSE, data }));
  }
}
