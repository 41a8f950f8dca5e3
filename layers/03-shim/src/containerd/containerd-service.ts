/**
 * What makes a shim containerd's: it publishes events, and takes orders of its own binary.
 *
 *   strata.containerd.v1.Cleanup/Delete   from `containerd-shim-strata-v1 delete`: containerd has lost
 *                                         its connection, takes us for dead, and wants the rest removed
 */
import { StrataError } from '@strata/namespaces';
import type { Shim } from '../service/shim.ts';
import { DeleteRequest, DeleteResponse } from '../service/task-messages.ts';
import type { MethodType } from '../ttrpc/client.ts';
import type { ValueOfMessage } from '../ttrpc/message.ts';
import { type Services, unary } from '../ttrpc/method.ts';
import { EventBridge } from './event-bridge.ts';
import { EventPublisher } from './event-publisher.ts';
import type { ContainerdSettings } from './shim-group.ts';
import type { CreateTask } from './task-service.ts';

const CLEANUP_SERVICE = 'strata.containerd.v1.Cleanup';
/** What is left to tell when the shim ends; containerd may have ended too. */
const FLUSH_MS = 2000;

export const CleanupDelete: MethodType<
  ValueOfMessage<typeof DeleteRequest>,
  ValueOfMessage<typeof DeleteResponse>
> = { service: CLEANUP_SERVICE, name: 'Delete', request: DeleteRequest, response: DeleteResponse };

export class ContainerdService implements AsyncDisposable {
  readonly services: Services;
  readonly #publisher: EventPublisher;
  readonly #bridge: EventBridge;
  readonly #unsubscribe: () => void;

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
    const { request, response } = CleanupDelete;
    this.services = {
      [CLEANUP_SERVICE]: {
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

  expect(request: CreateTask): void {
    this.#bridge.expect(request);
  }

  /** Tells what is left to tell, if somebody listens. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe();
    await this.#publisher.flush(FLUSH_MS);
    this.#publisher[Symbol.dispose]();
  }
}
