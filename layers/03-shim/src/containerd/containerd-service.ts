/**
 * What makes a shim containerd's: it publishes events, and takes orders of its own binary.
 *
 *   strata.containerd.v1.Group/Reserve   from `start`, before it answers with our address: containerd
 *                                        is about to connect, and we must be there then
 *                             /Delete    from `delete`: containerd has lost its connection, takes us for
 *                                        dead, and wants the rest removed
 */
import { StrataError } from '@strata/namespaces';
import type { Shim } from '../service/shim.ts';
import { ConnectRequest, DeleteRequest, DeleteResponse, Empty } from '../service/task-messages.ts';
import type { MethodType } from '../ttrpc/client.ts';
import type { ValueOfMessage } from '../ttrpc/message.ts';
import { type Services, unary } from '../ttrpc/method.ts';
import { EventBridge } from './event-bridge.ts';
import { EventPublisher } from './event-publisher.ts';
import type { ContainerdSettings } from './shim-group.ts';
import type { CreateTask } from './task-service.ts';

const GROUP_SERVICE = 'strata.containerd.v1.Group';
/** How long the shim stays for a container that containerd has asked for and not created. */
const RESERVED_MS = 60_000;
/** What is left to tell when the shim ends; containerd may have ended too. */
const FLUSH_MS = 2000;

export const GroupDelete: MethodType<
  ValueOfMessage<typeof DeleteRequest>,
  ValueOfMessage<typeof DeleteResponse>
> = { service: GROUP_SERVICE, name: 'Delete', request: DeleteRequest, response: DeleteResponse };
export const GroupReserve: MethodType<
  ValueOfMessage<typeof ConnectRequest>,
  ValueOfMessage<typeof Empty>
> = { service: GROUP_SERVICE, name: 'Reserve', request: ConnectRequest, response: Empty };

export class ContainerdService implements AsyncDisposable {
  readonly services: Services;
  readonly #publisher: EventPublisher;
  readonly #bridge: EventBridge;
  readonly #unsubscribe: () => void;
  readonly #reserved = new Map<string, NodeJS.Timeout>();
  /** Called when a container that was expected did not come. */
  onReleased: (() => void) | undefined;

  constructor(
    shim: Shim,
    settings: ContainerdSettings,
    onTrouble: (message: string, error: unknown) => void,
  ) {
    const { eventsAddress, namespace } = settings;
    const publisher = new EventPublisher({ address: eventsAddress, namespace, onTrouble });
    const bridge = new EventBridge(publisher);
    this.#publisher = publisher;
    this.#bridge = bridge;
    this.#unsubscribe = shim.subscribe((event) => bridge.tell(event));
    const { request, response } = GroupDelete;
    this.services = {
      [GROUP_SERVICE]: {
        Reserve: unary(GroupReserve.request, GroupReserve.response, ({ id }) => {
          this.#release(id);
          this.#reserved.set(
            id,
            setTimeout(() => this.#release(id), RESERVED_MS),
          );
          return {};
        }),
        Delete: unary(request, response, async ({ id }) => {
          const { pid } = await shim.state(id);
          bridge.disown(id);
          const exit = await shim.delete(id, { force: true });
          if (!exit) throw new StrataError('NOT_FOUND', `container ${id} was never started`);
          const { exitStatus, exitedAtNs } = exit;
          const seconds = exitedAtNs / 1_000_000_000n;
          const nanos = Number(exitedAtNs % 1_000_000_000n);
          return { pid, exitStatus, exitedAt: { seconds, nanos } };
        }),
      },
    };
  }

  /** Whether containerd has been told to connect to us, and has not used it yet. */
  get isExpecting(): boolean {
    return this.#reserved.size > 0;
  }

  #release(id: string): void {
    clearTimeout(this.#reserved.get(id));
    if (this.#reserved.delete(id)) this.onReleased?.();
  }

  expect(request: CreateTask): void {
    this.#release(request.id);
    this.#bridge.expect(request);
  }

  /** Tells what is left to tell, if somebody listens. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe();
    for (const timer of this.#reserved.values()) clearTimeout(timer);
    await this.#publisher.flush(FLUSH_MS);
    this.#publisher[Symbol.dispose]();
  }
}
