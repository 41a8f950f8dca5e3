/** containerd's Task API, versions 2 and 3. @see proto/containerd/task/v2/task.proto */
import type { MethodType } from '../ttrpc/client.ts';
import { Any } from '../ttrpc/envelope.ts';
import { type Message, message } from '../ttrpc/message.ts';

export const TASK_SERVICE = 'containerd.task.v2.Task';

/** The same calls with the same messages, under another name. */
export const TASK_SERVICE_V3 = 'containerd.task.v3.Task';

export const TASK_STATUS = {
  UNKNOWN: 0,
  CREATED: 1,
  RUNNING: 2,
  STOPPED: 3,
  PAUSED: 4,
  PAUSING: 5,
} as const;

export const Empty = message({});
export const Timestamp = message({ seconds: [1, 'int64'], nanos: [2, 'int32'] });
export const ProcessInfo = message({ pid: [1, 'uint32'], info: [2, Any] });
export const Mount = message({
  type: [1, 'string'],
  source: [2, 'string'],
  target: [3, 'string'],
  options: [4, 'string', 'repeated'],
});

const process = { id: [1, 'string'], execId: [2, 'string'] } as const;

export const CreateTaskRequest = message({
  id: [1, 'string'],
  bundle: [2, 'string'],
  rootfs: [3, Mount, 'repeated'],
  terminal: [4, 'bool'],
  stdin: [5, 'string'],
  stdout: [6, 'string'],
  stderr: [7, 'string'],
  checkpoint: [8, 'string'],
  parentCheckpoint: [9, 'string'],
  options: [10, Any],
});
export const CreateTaskResponse = message({ pid: [1, 'uint32'] });
export const StartRequest = message(process);
export const StartResponse = message({ pid: [1, 'uint32'] });
export const DeleteRequest = message(process);
export const DeleteResponse = message({
  pid: [1, 'uint32'],
  exitStatus: [2, 'uint32'],
  exitedAt: [3, Timestamp],
});
export const StateRequest = message(process);
export const StateResponse = message({
  id: [1, 'string'],
  bundle: [2, 'string'],
  pid: [3, 'uint32'],
  status: [4, 'int32'],
  stdin: [5, 'string'],
  stdout: [6, 'string'],
  stderr: [7, 'string'],
  terminal: [8, 'bool'],
  exitStatus: [9, 'uint32'],
  exitedAt: [10, Timestamp],
  execId: [11, 'string'],
});
export const ExecProcessRequest = message({
  ...process,
  terminal: [3, 'bool'],
  stdin: [4, 'string'],
  stdout: [5, 'string'],
  stderr: [6, 'string'],
  spec: [7, Any],
});
export const KillRequest = message({ ...process, signal: [3, 'uint32'], all: [4, 'bool'] });
export const PidsRequest = message({ id: [1, 'string'] });
export const PidsResponse = message({ processes: [1, ProcessInfo, 'repeated'] });
export const WaitRequest = message(process);
export const WaitResponse = message({ exitStatus: [1, 'uint32'], exitedAt: [2, Timestamp] });
export const ConnectRequest = message({ id: [1, 'string'] });
export const ConnectResponse = message({
  shimPid: [1, 'uint32'],
  taskPid: [2, 'uint32'],
  version: [3, 'string'],
});
export const ShutdownRequest = message({ id: [1, 'string'], now: [2, 'bool'] });

export const PauseRequest = message({ id: [1, 'string'] });
export const ResumeRequest = message({ id: [1, 'string'] });
export const CheckpointTaskRequest = message({
  id: [1, 'string'],
  path: [2, 'string'],
  options: [3, Any],
});
export const ResizePtyRequest = message({
  ...process,
  width: [3, 'uint32'],
  height: [4, 'uint32'],
});
export const CloseIORequest = message({ ...process, stdin: [3, 'bool'] });
export const UpdateTaskRequest = message({
  id: [1, 'string'],
  resources: [2, Any],
  annotations: [3, 'string', 'map'],
});
export const StatsRequest = message({ id: [1, 'string'] });
export const StatsResponse = message({ stats: [1, Any] });

/** The calls of the service, for a client. */
export const taskCalls = (service: string) => {
  const method = <Q, A>(
    name: string,
    request: Message<Q>,
    response: Message<A>,
  ): MethodType<Q, A> => ({ service, name, request, response });
  return {
    State: method('State', StateRequest, StateResponse),
    Create: method('Create', CreateTaskRequest, CreateTaskResponse),
    Start: method('Start', StartRequest, StartResponse),
    Delete: method('Delete', DeleteRequest, DeleteResponse),
    Pids: method('Pids', PidsRequest, PidsResponse),
    Pause: method('Pause', PauseRequest, Empty),
    Resume: method('Resume', ResumeRequest, Empty),
    Checkpoint: method('Checkpoint', CheckpointTaskRequest, Empty),
    Kill: method('Kill', KillRequest, Empty),
    Exec: method('Exec', ExecProcessRequest, Empty),
    ResizePty: method('ResizePty', ResizePtyRequest, Empty),
    CloseIO: method('CloseIO', CloseIORequest, Empty),
    Update: method('Update', UpdateTaskRequest, Empty),
    Wait: method('Wait', WaitRequest, WaitResponse),
    Stats: method('Stats', StatsRequest, StatsResponse),
    Connect: method('Connect', ConnectRequest, ConnectResponse),
    Shutdown: method('Shutdown', ShutdownRequest, Empty),
  };
};

export const Task = taskCalls(TASK_SERVICE);
