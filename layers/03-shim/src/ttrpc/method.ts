/** The methods of a service: a name's messages and what answers them. */
import { StrataError } from '@strata/namespaces';
import type { Message } from './message.ts';

export interface CallContext {
  /** Aborted when the caller has gone or its time is over. */
  signal: AbortSignal;
}

export type Method =
  | { kind: 'unary'; call(payload: Uint8Array, context: CallContext): Promise<Uint8Array> }
  | { kind: 'stream'; call(payload: Uint8Array, context: CallContext): AsyncIterable<Uint8Array> }
  | { kind: 'duplex'; call(wire: DuplexWire): Promise<void> };

export type Services = Record<string, Record<string, Method>>;

/** A stream in both directions, as bytes. */
export interface DuplexWire extends CallContext {
  /** Hears of each message of the client, and of `undefined` when it says that no more will come. */
  onMessage(handler: (payload: Uint8Array | undefined) => void): void;
  /** Resolves when the client has room for more. */
  send(payload: Uint8Array): Promise<void>;
  /** Ends the stream with an error. */
  fail(error: unknown): void;
}

/** The same, as messages. */
export interface DuplexCall<Q, A> extends CallContext {
  onInput(handler: (input: Q | undefined) => void): void;
  send(answer: Partial<A>): Promise<void>;
  fail(error: unknown): void;
}

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

/**
 * Any number of messages in each direction.
 * @param handler gets the first one; the stream ends when it has returned
 */
export function duplexStream<Q, A>(
  request: Message<Q>,
  response: Message<A>,
  handler: (first: Q, call: DuplexCall<Q, A>) => Promise<void>,
): Method {
  return {
    kind: 'duplex',
    async call(wire) {
      const inputs = new Inputs<Q>();
      wire.signal.addEventListener('abort', () => inputs.abandon());
      wire.onMessage((payload) => inputs.push(payload && request.decode(payload)));
      const first = await inputs.first;
      if (!first) throw new StrataError('INVALID_MESSAGE', 'a stream without a first message');
      await handler(first, {
        signal: wire.signal,
        onInput: (take) => inputs.deliverTo(take),
        send: (answer) => wire.send(response.encode(answer)),
        fail: (error) => wire.fail(error),
      });
    },
  };
}

/** The client's messages: the first by itself, the others kept until somebody takes them. */
class Inputs<Q> {
  readonly #first = Promise.withResolvers<Q | undefined>();
  #hasFirst = false;
  #early: (Q | undefined)[] = [];
  #take: ((input: Q | undefined) => void) | undefined;

  get first(): Promise<Q | undefined> {
    return this.#first.promise;
  }

  push(input: Q | undefined): void {
    if (!this.#hasFirst) {
      this.#hasFirst = true;
      this.#first.resolve(input);
    } else if (this.#take) this.#take(input);
    else this.#early.push(input);
  }

  deliverTo(take: (input: Q | undefined) => void): void {
    this.#take = take;
    for (const input of this.#early.splice(0)) take(input);
  }

  abandon(): void {
    this.#first.resolve(undefined);
  }
}
