/**
 * A ttrpc client: one connection, many calls at once.
 *
 *   const client = await TtrpcClient.connect('/run/strata/shim/shim.sock');
 *   const state = await client.call(taskMethod('State', StateRequest, StateResponse), { id });
 *
 * The current span travels as `traceparent` in the request's metadata.
 */
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { currentTraceparent, StrataError } from '@strata/namespaces';
import { Request, Response } from './envelope.ts';
import {
  encodeFrame,
  FLAG_NO_DATA,
  FLAG_REMOTE_CLOSED,
  FLAG_REMOTE_OPEN,
  type Frame,
  FrameReader,
  TYPE_DATA,
  TYPE_REQUEST,
} from './frame.ts';
import type { Message } from './message.ts';
import { CODE, errorOfStatus } from './status.ts';

/** What can be called: names and messages. */
export interface MethodType<Q, A> {
  service: string;
  name: string;
  request: Message<Q>;
  response: Message<A>;
}

interface PendingCall {
  /** A frame of the stream, or the error that ends it. */
  next(frame: Frame | StrataError): void;
}

/** The other side keeps the deadline too, and its answer says more. */
const ANSWER_GRACE_MS = 500;

export class TtrpcClient {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #calls = new Map<number, PendingCall>();
  readonly #onLost: (() => void)[] = [];
  #nextStreamId = 1;
  #lost: StrataError | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (cause) => this.#lose('connection to the shim failed', cause));
    socket.on('close', () => this.#lose('the shim closed the connection'));
  }

  /** @throws ENOENT or ECONNREFUSED where nobody listens */
  static async connect(path: string): Promise<TtrpcClient> {
    const socket = connectSocket(path);
    await once(socket, 'connect');
    return new TtrpcClient(socket);
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Calls back once, when the connection is gone; at once where it is. */
  onLost(callback: () => void): void {
    if (this.#lost) callback();
    else this.#onLost.push(callback);
  }

  /** Ends the connection; calls under way fail with CONNECTION_LOST. */
  close(): void {
    this.#socket.destroy();
    this.#lose('the connection was closed');
  }

  /** Keeps the process alive for this connection, or not. */
  keepAlive(on: boolean): void {
    if (on) this.#socket.ref();
    else this.#socket.unref();
  }

  /**
   * One request, one answer.
   * @throws {StrataError} the shim's own, CONNECTION_LOST, or DEADLINE_EXCEEDED where the other side
   *   keeps silent about the deadline as well
   */
  call<Q, A>(
    method: MethodType<Q, A>,
    request: Partial<Q>,
    options: { timeoutMs?: number } = {},
  ): Promise<A> {
    const { timeoutMs } = options;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const next = (frame: Frame | StrataError): void => {
        clearTimeout(timer);
        try {
          if (frame instanceof StrataError) throw frame;
          resolve(method.response.decode(responsePayload(frame)));
        } catch (error) {
          reject(error);
        }
      };
      const streamId = this.#send(method, request, { next, timeoutMs, flags: 0 });
      if (streamId === undefined || timeoutMs === undefined) return;
      timer = setTimeout(() => {
        this.#calls.delete(streamId);
        const message = `${method.name} was not answered in ${timeoutMs} ms`;
        reject(new StrataError('DEADLINE_EXCEEDED', message));
      }, timeoutMs + ANSWER_GRACE_MS);
    });
  }

  /**
   * One request, any number of answers. Leaving it early does not end it at the server; closing the
   * connection does.
   */
  async *stream<Q, A>(method: MethodType<Q, A>, request: Partial<Q>): AsyncGenerator<A> {
    const frames = new FrameQueue();
    const call = { next: frames.push, flags: FLAG_REMOTE_CLOSED };
    const streamId = this.#send(method, request, call);
    try {
      yield* answers(frames, method);
    } finally {
      if (streamId !== undefined) this.#calls.delete(streamId);
    }
  }

  /** Any number of messages in each direction. @param first the first of ours */
  duplex<Q, A>(method: MethodType<Q, A>, first: Partial<Q>): DuplexStream<Q, A> {
    const frames = new FrameQueue();
    const streamId = this.#send(method, {}, { next: frames.push, flags: FLAG_REMOTE_OPEN });
    const send = (message: Partial<Q>): void => {
      if (streamId === undefined || !this.#calls.has(streamId)) return;
      const data = method.request.encode(message);
      this.#socket.write(encodeFrame({ streamId, type: TYPE_DATA, data }));
    };
    send(first);
    return { answers: answers(frames, method), send };
  }

  /** Stops and goes on reading, for a connection that has one stream only. */
  pause(on: boolean): void {
    if (on) this.#socket.pause();
    else this.#socket.resume();
  }

  #send<Q, A>(
    method: MethodType<Q, A>,
    request: Partial<Q>,
    call: PendingCall & { timeoutMs?: number | undefined; flags: number },
  ): number | undefined {
    if (this.#lost) {
      call.next(this.#lost);
      return undefined;
    }
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    const traceparent = currentTraceparent();
    const data = Request.encode({
      service: method.service,
      method: method.name,
      payload: method.request.encode(request),
      timeoutNano: BigInt(Math.round((call.timeoutMs ?? 0) * 1e6)),
      metadata: traceparent ? [{ key: 'traceparent', value: traceparent }] : [],
    });
    this.#calls.set(streamId, call);
    this.#socket.write(encodeFrame({ streamId, type: TYPE_REQUEST, flags: call.flags, data }));
    return streamId;
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) {
        const call = this.#calls.get(frame.streamId);
        if (frame.type !== TYPE_DATA) this.#calls.delete(frame.streamId);
        call?.next(frame);
      }
    } catch (cause) {
      this.#socket.destroy();
      this.#lose('the shim sent what is not ttrpc', cause);
    }
  }

  #lose(message: string, cause?: unknown): void {
    this.#lost ??= new StrataError('CONNECTION_LOST', message, { cause });
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.next(this.#lost);
    for (const callback of this.#onLost.splice(0)) callback();
  }
}

export interface DuplexStream<Q, A> {
  /** What the server sends, until it ends the stream. @throws {StrataError} its error, or CONNECTION_LOST */
  readonly answers: AsyncGenerator<A>;
  /** What is sent after the end goes nowhere. */
  send(message: Partial<Q>): void;
}

/** Frames of a stream that were not looked at yet. */
class FrameQueue {
  readonly #frames: (Frame | StrataError)[] = [];
  #wake: (() => void) | undefined;

  readonly push = (frame: Frame | StrataError): void => {
    this.#frames.push(frame);
    this.#wake?.();
  };

  async next(): Promise<Frame> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame instanceof StrataError) throw frame;
      if (frame) return frame;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

async function* answers<Q, A>(frames: FrameQueue, method: MethodType<Q, A>): AsyncGenerator<A> {
  for (;;) {
    const frame = await frames.next();
    if (frame.type !== TYPE_DATA) {
      responsePayload(frame);
      return;
    }
    if ((frame.flags & FLAG_NO_DATA) === 0) yield method.response.decode(frame.data);
    if ((frame.flags & FLAG_REMOTE_CLOSED) !== 0) return;
  }
}

function responsePayload(frame: Frame): Uint8Array {
  if (frame.oversized !== undefined) {
    throw new StrataError('MESSAGE_TOO_LARGE', `answer of ${frame.oversized} bytes`);
  }
  const { status, payload } = Response.decode(frame.data);
  if (status && status.code !== CODE.OK) throw errorOfStatus(status);
  return payload;
}
