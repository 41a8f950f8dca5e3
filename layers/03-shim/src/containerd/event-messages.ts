/**
 * What a shim tells containerd: events, each in an envelope with its topic.
 *
 *   shim ──ttrpc, Events/Forward──▶ TTRPC_ADDRESS (containerd's)
 *
 * @see proto/containerd/events/task.proto and forward.proto
 */
import { Empty, Mount, Timestamp } from '../service/task-messages.ts';
import type { MethodType } from '../ttrpc/client.ts';
import { Any } from '../ttrpc/envelope.ts';
import { message, type ValueOfMessage } from '../ttrpc/message.ts';

export const EVENTS_SERVICE = 'containerd.services.events.ttrpc.v1.Events';

export const TaskIO = message({
  stdin: [1, 'string'],
  stdout: [2, 'string'],
  stderr: [3, 'string'],
  terminal: [4, 'bool'],
});
export const TaskCreate = message({
  containerId: [1, 'string'],
  bundle: [2, 'string'],
  rootfs: [3, Mount, 'repeated'],
  io: [4, TaskIO],
  checkpoint: [5, 'string'],
  pid: [6, 'uint32'],
});
export const TaskStart = message({ containerId: [1, 'string'], pid: [2, 'uint32'] });
export const TaskExit = message({
  containerId: [1, 'string'],
  id: [2, 'string'],
  pid: [3, 'uint32'],
  exitStatus: [4, 'uint32'],
  exitedAt: [5, Timestamp],
});
export const TaskDelete = message({
  containerId: [1, 'string'],
  pid: [2, 'uint32'],
  exitStatus: [3, 'uint32'],
  exitedAt: [4, Timestamp],
  id: [5, 'string'],
});
export const TaskOOM = message({ containerId: [1, 'string'] });
export const TaskExecAdded = message({ containerId: [1, 'string'], execId: [2, 'string'] });
export const TaskExecStarted = message({
  containerId: [1, 'string'],
  execId: [2, 'string'],
  pid: [3, 'uint32'],
});
export const TaskPaused = message({ containerId: [1, 'string'] });
export const TaskResumed = message({ containerId: [1, 'string'] });
export const TaskCheckpointed = message({ containerId: [1, 'string'], checkpoint: [2, 'string'] });

/** The events by their name; an event's type URL is `containerd.events.` and the name. */
export const TASK_EVENTS = {
  TaskCreate: { topic: '/tasks/create', message: TaskCreate },
  TaskStart: { topic: '/tasks/start', message: TaskStart },
  TaskExit: { topic: '/tasks/exit', message: TaskExit },
  TaskDelete: { topic: '/tasks/delete', message: TaskDelete },
  TaskOOM: { topic: '/tasks/oom', message: TaskOOM },
  TaskExecAdded: { topic: '/tasks/exec-added', message: TaskExecAdded },
  TaskExecStarted: { topic: '/tasks/exec-started', message: TaskExecStarted },
  TaskPaused: { topic: '/tasks/paused', message: TaskPaused },
  TaskResumed: { topic: '/tasks/resumed', message: TaskResumed },
  TaskCheckpointed: { topic: '/tasks/checkpointed', message: TaskCheckpointed },
} as const;

export type TaskEventName = keyof typeof TASK_EVENTS;
export type TaskEventValue<N extends TaskEventName> = ValueOfMessage<
  (typeof TASK_EVENTS)[N]['message']
>;
/** An event: its name and what it says. */
export type TaskEvent = {
  [N in TaskEventName]: { name: N; value: TaskEventValue<N> };
}[TaskEventName];

export const EVENT_TYPE_PREFIX = 'containerd.events.';

export const Envelope = message({
  timestamp: [1, Timestamp],
  namespace: [2, 'string'],
  topic: [3, 'string'],
  event: [4, Any],
});
export const ForwardRequest = message({ envelope: [1, Envelope] });

export const Forward: MethodType<
  ValueOfMessage<typeof ForwardRequest>,
  ValueOfMessage<typeof Empty>
> = { service: EVENTS_SERVICE, name: 'Forward', request: ForwardRequest, response: Empty };
