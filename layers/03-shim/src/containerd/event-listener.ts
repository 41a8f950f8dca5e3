/**
 * Takes the events that shims publish, as containerd does at its TTRPC_ADDRESS.
 *
 *   using listener = await EventListener.listen('/run/strata/events.sock', (event) => ...);
 */
import { chmodSync, rmSync } from 'node:fs';
import { unary } from '../ttrpc/method.ts';
import { TtrpcServer } from '../ttrpc/server.ts';
import {
  EVENT_TYPE_PREFIX,
  EVENTS_SERVICE,
  Forward,
  TASK_EVENTS,
  type TaskEvent,
  type TaskEventName,
} from './event-messages.ts';

export interface ShimEventEnvelope {
  namespace: string;
  topic: string;
  /** Nanoseconds of the Unix epoch, as the shim has it. */
  timestampNs: bigint;
  /** Undefined for an event that we do not know. */
  event: TaskEvent | undefined;
}

export class EventListener implements Disposable {
  /** For TTRPC_ADDRESS. */
  readonly address: string;
  readonly #server: TtrpcServer;

  private constructor(path: string, server: TtrpcServer) {
    this.address = path;
    this.#server = server;
  }

  /** @param path of the socket; what is there is replaced */
  static async listen(
    path: string,
    onEvent: (event: ShimEventEnvelope) => void,
  ): Promise<EventListener> {
    const server = new TtrpcServer({
      [EVENTS_SERVICE]: {
        Forward: unary(Forward.request, Forward.response, ({ envelope }) => {
          if (envelope) onEvent(openEnvelope(envelope));
          return {};
        }),
      },
    });
    rmSync(path, { force: true });
    await server.listen(path);
    chmodSync(path, 0o600);
    return new EventListener(path, server);
  }

  [Symbol.dispose](): void {
    this.#server.close();
    rmSync(this.address, { force: true });
  }
}

type EnvelopeValue = NonNullable<ReturnType<typeof Forward.request.decode>['envelope']>;

function openEnvelope({ namespace, topic, timestamp, event }: EnvelopeValue): ShimEventEnvelope {
  const { seconds = 0n, nanos = 0 } = timestamp ?? {};
  return {
    namespace,
    topic,
    timestampNs: seconds * 1_000_000_000n + BigInt(nanos),
    event: event && decodeEvent(event),
  };
}

function decodeEvent(any: { typeUrl: string; value: Uint8Array }): TaskEvent | undefined {
  // Some put a host in front: type.googleapis.com/containerd.events.TaskExit.
  const type = any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1);
  const name = type.startsWith(EVENT_TYPE_PREFIX) ? type.slice(EVENT_TYPE_PREFIX.length) : '';
  if (!Object.hasOwn(TASK_EVENTS, name)) return undefined;
  const { message } = TASK_EVENTS[name as TaskEventName];
  return { name, value: message.decode(any.value) } as TaskEvent;
}
