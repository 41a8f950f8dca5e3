/**
 * Tells containerd of events, in their order, each until it is taken.
 *
 *   publish ──▶ queue ──Forward──▶ containerd's TTRPC_ADDRESS
 *                 ▲         │ not reached, or no answer in 5 s
 *                 └─ wait ◀─┘ 100 ms, doubled up to 5 s
 *
 * containerd may be away for a while, as when it is upgraded: events wait for it. An exit that is lost
 * is a container that runs for ever (containerd#10603), so the queue is long; what it cannot hold are
 * the oldest events, and that is said. containerd's own shim gives each event six attempts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { StrataError } from '@strata/namespaces';
import { TtrpcClient } from '../ttrpc/client.ts';
import { EVENT_TYPE_PREFIX, Forward, TASK_EVENTS, type TaskEvent } from './event-messages.ts';

const QUEUE_LENGTH = 16_384;
const ANSWER_MS = 5000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5000;

export interface EventPublisherOptions {
  /** Of a socket: TTRPC_ADDRESS. */
  address: string;
  namespace: string;
  /** Hears of events that were given up. */
  onTrouble?: (message: string, error: unknown) => void;
}

type EnvelopeValue = NonNullable<ReturnType<typeof Forward.request.decode>['envelope']>;

export class EventPublisher implements Disposable {
  readonly #options: EventPublisherOptions;
  readonly #queue: EnvelopeValue[] = [];
  readonly #closing = new AbortController();
  #client: TtrpcClient | undefined;
  #sending: Promise<void> | undefined;
  #dropped = 0;

  constructor(options: EventPublisherOptions) {
    this.#options = options;
  }

  publish(event: TaskEvent, timestampNs: bigint): void {
    const { topic, message } = TASK_EVENTS[event.name];
    this.#queue.push({
      timestamp: {
        seconds: timestampNs / 1_000_000_000n,
        nanos: Number(timestampNs % 1_000_000_000n),
      },
      namespace: this.#options.namespace,
      topic,
      event: {
        typeUrl: `${EVENT_TYPE_PREFIX}${event.name}`,
        value: message.encode(event.value as never),
      },
    });
    if (this.#queue.length > QUEUE_LENGTH) {
      this.#queue.shift();
      this.#dropped++;
    }
    this.#sending ??= this.#send();
  }

  /** How many wait to be told. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Resolves when all were told, or at the latest after that time. */
  async flush(limitMs: number): Promise<void> {
    await Promise.race([this.#sending, sleep(limitMs, undefined, { ref: false })]);
  }

  async #send(): Promise<void> {
    let waitMs = FIRST_WAIT_MS;
    while (this.#queue.length > 0 && !this.#closing.signal.aborted) {
      const envelope = this.#queue[0]!;
      try {
        const client = await this.#connected();
        await client.call(Forward, { envelope }, { timeoutMs: ANSWER_MS });
        if (this.#queue[0] === envelope) this.#queue.shift();
        waitMs = FIRST_WAIT_MS;
        this.#tellOfDropped();
      } catch (error) {
        if (this.#isRefused(error, envelope)) continue;
        this.#disconnect();
        await sleep(waitMs, undefined, { signal: this.#closing.signal }).catch(() => {});
        waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
      }
    }
    this.#sending = undefined;
    this.#disconnect();
  }

  /** What containerd does not want it will not want later either. */
  #isRefused(error: unknown, envelope: EnvelopeValue): boolean {
    const transient = ['CONNECTION_LOST', 'DEADLINE_EXCEEDED', 'UNAVAILABLE'];
    if (!(error instanceof StrataError) || transient.includes(error.code)) return false;
    if (this.#queue[0] === envelope) this.#queue.shift();
    this.#options.onTrouble?.(`the event ${envelope.topic} was refused`, error);
    return true;
  }

  #tellOfDropped(): void {
    if (this.#dropped === 0) return;
    const message = `${this.#dropped} events were dropped: nobody took them`;
    this.#options.onTrouble?.(message, new StrataError('EVENTS_DROPPED', message));
    this.#dropped = 0;
  }

  async #connected(): Promise<TtrpcClient> {
    if (this.#client?.isLost) this.#client = undefined;
    this.#client ??= await TtrpcClient.connect(this.#options.address);
    return this.#client;
  }

  /** Nobody is kept waiting for a connection that is not needed, and none is held for each shim. */
  #disconnect(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  [Symbol.dispose](): void {
    this.#closing.abort();
    this.#queue.length = 0;
    this.#disconnect();
  }
}
