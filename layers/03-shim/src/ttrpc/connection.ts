/**
 * One client of a ttrpc server.
 *
 * What it can make us hold is bounded: 4 MB of an unfinished frame, 4096 calls, a socket's buffer of
 * a stream's data (a slow reader slows its stream down), and 32 MB of answers: from 4 MB on that it
 * has not read nothing more is read of it, and at 32 MB it is dropped.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
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
import type { CallContext, Method, Services } from './method.ts';
import { statusOfError } from './status.ts';

const MAX_CALLS = 4096;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const PAUSE_AT_BYTES = 4 << 20;
const DROP_AT_BYTES = 32 << 20;
const NOTHING = new Uint8Array();

interface ActiveCall {
  controller: AbortController;
  /** Takes a message of the client's stream. */
  onMessage?: (payload: Uint8Array | undefined) => void;
}

export class Connection {
  readonly #socket: Socket;
  readonly #services: Services;
  readonly #reader = new FrameReader();
  readonly #calls = new Map<number, ActiveCall>();
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
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { controller } of calls) controller.abort();
  }

  #handle(frame: Frame): void {
    const { streamId } = frame;
    try {
      if (frame.type === TYPE_DATA && streamId <= this.#lastStreamId) {
        this.#takeData(frame);
        return;
      }
      this.#admit(frame);
      const request = Request.decode(frame.data);
      const method = this.#find(request);
      const call: ActiveCall = { controller: new AbortController() };
      this.#calls.set(streamId, call);
      void this.#run(frame, { request, method, call });
    } catch (error) {
      this.#fail(streamId, error);
    }
  }

  /** Data of a call that has ended, or that takes one message only, has nothing to add. */
  #takeData(frame: Frame): void {
    const onMessage = this.#calls.get(frame.streamId)?.onMessage;
    if (!onMessage) return;
    refuseOversized(frame);
    if ((frame.flags & FLAG_NO_DATA) === 0) onMessage(frame.data);
    if ((frame.flags & FLAG_REMOTE_CLOSED) !== 0) onMessage(undefined);
  }

  #admit(frame: Frame): void {
    const { streamId, type } = frame;
    refuseOversized(frame);
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
    work: { request: RequestValue; method: Method; call: ActiveCall },
  ): Promise<void> {
    const { request, method } = work;
    const { streamId } = frame;
    const timer = this.#deadline(streamId, request.timeoutNano);
    const traceparent = request.metadata.find(({ key }) => key === 'traceparent')?.value;
    const attributes: Attributes = { 'rpc.service': request.service, 'rpc.method': request.method };
    try {
      const answer = () => this.#answer(frame, { ...work, method });
      await span(`shim.${request.method}`, attributes, answer, { traceparent });
    } catch (error) {
      if (this.#calls.has(streamId)) this.#fail(streamId, error);
    } finally {
      clearTimeout(timer);
      this.#calls.delete(streamId);
    }
  }

  async #answer(
    { streamId, flags }: Frame,
    work: { request: RequestValue; method: Method; call: ActiveCall },
  ): Promise<void> {
    const { request, method, call } = work;
    const context = { signal: call.controller.signal };
    if (method.kind === 'unary') {
      this.#respond(streamId, await method.call(request.payload, context));
      return;
    }
    if ((flags & (FLAG_REMOTE_CLOSED | FLAG_REMOTE_OPEN)) === 0) {
      throw new StrataError('INVALID_MESSAGE', 'a streaming method called as unary');
    }
    if (method.kind === 'duplex') await this.#duplex(streamId, { method, call, context });
    else {
      for await (const data of method.call(request.payload, context)) {
        if (!this.#calls.has(streamId)) return;
        await this.#send(streamId, data);
      }
    }
    const last = FLAG_REMOTE_CLOSED | FLAG_NO_DATA;
    this.#write(encodeFrame({ streamId, type: TYPE_DATA, flags: last, data: NOTHING }));
  }

  #duplex(
    streamId: number,
    work: {
      method: Extract<Method, { kind: 'duplex' }>;
      call: ActiveCall;
      context: CallContext;
    },
  ): Promise<void> {
    const { method, call, context } = work;
    return method.call({
      ...context,
      onMessage(handler) {
        call.onMessage = handler;
      },
      send: (data) => this.#send(streamId, data),
      fail: (error) => this.#abandon(streamId, error),
    });
  }

  #deadline(streamId: number, nanoseconds: bigint): NodeJS.Timeout | undefined {
    if (nanoseconds <= 0n) return undefined;
    const milliseconds = Math.min(Math.ceil(Number(nanoseconds) / 1e6), MAX_TIMEOUT_MS);
    return setTimeout(() => {
      const error = new StrataError('DEADLINE_EXCEEDED', `not done in ${milliseconds} ms`);
      this.#abandon(streamId, error);
    }, milliseconds);
  }

  /** Answers a call with an error while its method is at work. */
  #abandon(streamId: number, error: unknown): void {
    const call = this.#calls.get(streamId);
    if (!call) return;
    this.#calls.delete(streamId);
    call.controller.abort();
    this.#fail(streamId, error);
  }

  /** One message of a stream; resolves when there is room for the next. */
  async #send(streamId: number, data: Uint8Array): Promise<void> {
    if (!this.#calls.has(streamId)) return;
    if (this.#write(encodeFrame({ streamId, type: TYPE_DATA, data }))) return;
    await Promise.race([once(this.#socket, 'drain'), once(this.#socket, 'close')]);
  }

  #respond(streamId: number, payload: Uint8Array): void {
    if (!this.#calls.has(streamId)) return;
    const data = Response.encode({ payload });
    this.#write(encodeFrame({ streamId, type: TYPE_RESPONSE, data }));
  }

  #fail(streamId: number, error: unknown): void {
    const data = Response.encode({ status: statusOfError(error) });
    this.#write(encodeFrame({ streamId, type: TYPE_RESPONSE, data }));
  }

  /** @returns false where the peer should read before more is written */
  #write(frame: Buffer): boolean {
    const socket = this.#socket;
    if (socket.destroyed) return true;
    const hasRoom = socket.write(frame);
    if (socket.writableLength > DROP_AT_BYTES) socket.destroy();
    else if (socket.writableLength > PAUSE_AT_BYTES && !socket.isPaused()) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
    return hasRoom;
  }
}

function refuseOversized({ oversized }: Frame): void {
  if (oversized === undefined) return;
  throw new StrataError('MESSAGE_TOO_LARGE', `message of ${oversized} bytes`, {
    hint: '4 MB is the most ttrpc carries',
  });
}
