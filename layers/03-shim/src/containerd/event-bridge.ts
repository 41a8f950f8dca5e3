/**
 * From what happens in the shim to containerd's events.
 *
 *   create         TaskCreate         exec-added      TaskExecAdded     paused     TaskPaused
 *   start          TaskStart          exec-started    TaskExecStarted   resumed    TaskResumed
 *   exit, of init  TaskExit           exit, of exec   TaskExit          oom        TaskOOM
 *   delete         TaskDelete                                           checkpointed TaskCheckpointed
 *
 * Of a container that the shim's binary deletes for containerd (`delete`), nothing is told: containerd
 * takes the shim for dead, and publishes its exit and deletion itself.
 */
import { realtimeNs } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { ShimEvent, ShimEventKind } from '../service/shim-api.ts';
import type { TaskEvent } from './event-messages.ts';
import type { EventPublisher } from './event-publisher.ts';
import type { CreateTask } from './task-service.ts';

type Translate = (event: ShimEvent, created: CreateTask | undefined) => TaskEvent | undefined;

const TRANSLATIONS: Record<ShimEventKind, Translate> = {
  create: ({ id, pid }, created) => {
    const { bundle = '', rootfs = [], checkpoint = '' } = created ?? {};
    const { stdin = '', stdout = '', stderr = '', terminal = false } = created ?? {};
    const io = { stdin, stdout, stderr, terminal };
    return {
      name: 'TaskCreate',
      value: { containerId: id, bundle, rootfs, io, checkpoint, pid },
    };
  },
  start: ({ id, pid }) => ({ name: 'TaskStart', value: { containerId: id, pid } }),
  exit: ({ id, execId = id, pid, exit }) => ({
    name: 'TaskExit',
    value: { containerId: id, id: execId, pid, ...ended(exit) },
  }),
  delete: ({ id, pid, exit }) => ({
    name: 'TaskDelete',
    value: { containerId: id, pid, ...ended(exit), id: '' },
  }),
  oom: ({ id }) => ({ name: 'TaskOOM', value: { containerId: id } }),
  'exec-added': ({ id, execId = '' }) => ({
    name: 'TaskExecAdded',
    value: { containerId: id, execId },
  }),
  'exec-started': ({ id, execId = '', pid }) => ({
    name: 'TaskExecStarted',
    value: { containerId: id, execId, pid },
  }),
  'exec-deleted': () => undefined,
  paused: ({ id }) => ({ name: 'TaskPaused', value: { containerId: id } }),
  resumed: ({ id }) => ({ name: 'TaskResumed', value: { containerId: id } }),
  updated: () => undefined,
  health: () => undefined,
  'start-timeout': () => undefined,
  checkpointed: ({ id }) => ({
    name: 'TaskCheckpointed',
    value: { containerId: id, checkpoint: '' },
  }),
};

function ended(exit: ExitInfo | undefined) {
  if (!exit) return { exitStatus: 0, exitedAt: undefined };
  const { exitStatus, exitedAtNs } = exit;
  const seconds = exitedAtNs / 1_000_000_000n;
  return { exitStatus, exitedAt: { seconds, nanos: Number(exitedAtNs % 1_000_000_000n) } };
}

export class EventBridge {
  readonly #publisher: EventPublisher;
  readonly #created = new Map<string, CreateTask>();
  readonly #disowned = new Set<string>();

  constructor(publisher: EventPublisher) {
    this.#publisher = publisher;
  }

  /** A Create is about to be done: what its event has to say beyond what the shim tells. */
  expect(request: CreateTask): void {
    this.#disowned.delete(request.id);
    this.#created.set(request.id, request);
  }

  /** containerd has given this container up. */
  disown(id: string): void {
    this.#disowned.add(id);
  }

  tell(event: ShimEvent): void {
    const { id, kind } = event;
    const created = this.#created.get(id);
    if (kind === 'create') this.#created.delete(id);
    const translated = this.#disowned.has(id) ? undefined : TRANSLATIONS[kind](event, created);
    if (kind === 'delete') this.#disowned.delete(id);
    if (translated) this.#publisher.publish(translated, realtimeNs());
  }
}
