/** Strata's own shim API. @see proto/strata/shim/v1/shim.proto */
import type { MethodType } from '../ttrpc/client.ts';
import { type Message, message } from '../ttrpc/message.ts';

export const SHIM_SERVICE = 'strata.shim.v1.Shim';

export const Empty = message({});
export const Stdio = message({
  terminal: [1, 'bool'],
  logPath: [2, 'string'],
  logFormat: [3, 'string'],
  stdinPath: [4, 'string'],
  stdoutPath: [5, 'string'],
  stderrPath: [6, 'string'],
  stdin: [7, 'string'],
  attachable: [8, 'bool'],
  hasPaths: [9, 'bool'],
  hasLogLimits: [10, 'bool'],
  logMaxBytes: [11, 'uint64'],
  logMaxFiles: [12, 'uint32'],
});
export const CreateRequest = message({
  id: [1, 'string'],
  bundle: [2, 'string'],
  stdio: [3, Stdio],
  start: [6, 'bool'],
  requestId: [7, 'string'],
  restart: [8, 'string'],
  restartMaximum: [9, 'uint32'],
  healthJson: [10, 'string'],
  startTimeoutMs: [11, 'uint64'],
});
export const StartRequest = message({ id: [1, 'string'], requestId: [2, 'string'] });
export const KillRequest = message({
  id: [1, 'string'],
  signal: [2, 'uint32'],
  all: [3, 'bool'],
  requestId: [4, 'string'],
});
export const StopRequest = message({
  id: [1, 'string'],
  signal: [2, 'uint32'],
  timeoutMs: [3, 'uint64'],
  requestId: [4, 'string'],
});
export const StartExecRequest = message({
  id: [1, 'string'],
  execId: [2, 'string'],
  requestId: [3, 'string'],
});
export const CreateResponse = message({ pid: [1, 'uint32'] });
export const ContainerRequest = message({ id: [1, 'string'] });
export const ProcessRequest = message({ id: [1, 'string'], execId: [2, 'string'] });
export const DeleteRequest = message({
  id: [1, 'string'],
  force: [2, 'bool'],
  execId: [3, 'string'],
  requestId: [4, 'string'],
});
export const ExitInfo = message({
  exited: [1, 'bool'],
  exitStatus: [2, 'uint32'],
  exitedAtNs: [3, 'int64'],
  oomKilled: [4, 'bool'],
});
export const ContainerState = message({
  id: [1, 'string'],
  bundle: [2, 'string'],
  status: [3, 'string'],
  pid: [4, 'uint32'],
  logPath: [5, 'string'],
  terminal: [6, 'bool'],
  exit: [7, ExitInfo],
  lastExit: [8, ExitInfo],
  restarts: [9, 'uint32'],
  healthJson: [10, 'string'],
});
export const ListRequest = message({});
export const ListResponse = message({ containers: [1, ContainerState, 'repeated'] });
export const UpdateRequest = message({ id: [1, 'string'], resourcesJson: [2, 'string'] });
export const StatsResponse = message({ statsJson: [1, 'string'] });
export const Process = message({ pid: [1, 'uint32'], execId: [2, 'string'] });
export const ProcessesResponse = message({ processes: [1, Process, 'repeated'] });
export const ReopenLogResponse = message({});
export const ExecRequest = message({
  id: [1, 'string'],
  execId: [2, 'string'],
  processJson: [3, 'string'],
  timeoutMs: [4, 'uint64'],
});
export const ExecExit = message({
  exitStatus: [1, 'uint32'],
  truncated: [2, 'bool'],
});
export const ExecResponse = message({
  stdout: [1, 'bytes'],
  stderr: [2, 'bytes'],
  exit: [3, ExecExit],
});
export const AddExecRequest = message({
  id: [1, 'string'],
  execId: [2, 'string'],
  processJson: [3, 'string'],
  stdio: [4, Stdio],
  requestId: [5, 'string'],
});
export const ExecStateResponse = message({
  id: [1, 'string'],
  execId: [2, 'string'],
  status: [3, 'string'],
  pid: [4, 'uint32'],
  terminal: [5, 'bool'],
  exit: [6, ExitInfo],
});
export const ListExecsResponse = message({ execs: [1, ExecStateResponse, 'repeated'] });
export const KillExecRequest = message({
  id: [1, 'string'],
  execId: [2, 'string'],
  signal: [3, 'uint32'],
  requestId: [4, 'string'],
});
export const ResizeRequest = message({
  id: [1, 'string'],
  execId: [2, 'string'],
  rows: [3, 'uint32'],
  columns: [4, 'uint32'],
});
export const AttachInput = message({
  id: [1, 'string'],
  execId: [2, 'string'],
  stdin: [3, 'bool'],
  noStdout: [4, 'bool'],
  noStderr: [5, 'bool'],
  detachKeys: [6, 'string'],
  input: [7, 'bytes'],
  end: [8, 'bool'],
  leave: [9, 'bool'],
});
export const AttachOutput = message({
  stdout: [1, 'bytes'],
  stderr: [2, 'bytes'],
  room: [3, 'uint32'],
  ended: [4, 'string'],
  exit: [5, ExitInfo],
});
export const SubscribeRequest = message({});
export const Event = message({
  kind: [1, 'string'],
  id: [2, 'string'],
  pid: [3, 'uint32'],
  exit: [4, ExitInfo],
  execId: [5, 'string'],
  restarts: [6, 'bool'],
  restartInMs: [7, 'uint64'],
  health: [8, 'string'],
});

const method = <Q, A>(
  name: string,
  request: Message<Q>,
  response: Message<A>,
): MethodType<Q, A> => ({ service: SHIM_SERVICE, name, request, response });

/** The calls of the service, for a client. */
export const ShimCalls = {
  Create: method('Create', CreateRequest, CreateResponse),
  Start: method('Start', StartRequest, Empty),
  Kill: method('Kill', KillRequest, Empty),
  Stop: method('Stop', StopRequest, ExitInfo),
  State: method('State', ContainerRequest, ContainerState),
  List: method('List', ListRequest, ListResponse),
  Wait: method('Wait', ContainerRequest, ExitInfo),
  Delete: method('Delete', DeleteRequest, ExitInfo),
  Pause: method('Pause', ContainerRequest, Empty),
  Resume: method('Resume', ContainerRequest, Empty),
  Update: method('Update', UpdateRequest, Empty),
  Stats: method('Stats', ContainerRequest, StatsResponse),
  Processes: method('Processes', ContainerRequest, ProcessesResponse),
  ReopenLog: method('ReopenLog', ContainerRequest, ReopenLogResponse),
  Exec: method('Exec', ExecRequest, ExecResponse),
  AddExec: method('AddExec', AddExecRequest, Empty),
  StartExec: method('StartExec', StartExecRequest, CreateResponse),
  ExecState: method('ExecState', ProcessRequest, ExecStateResponse),
  ListExecs: method('ListExecs', ContainerRequest, ListExecsResponse),
  KillExec: method('KillExec', KillExecRequest, Empty),
  WaitExec: method('WaitExec', ProcessRequest, ExitInfo),
  DeleteExec: method('DeleteExec', DeleteRequest, ExitInfo),
  Resize: method('Resize', ResizeRequest, Empty),
  CloseStdin: method('CloseStdin', ProcessRequest, Empty),
  Attach: method('Attach', AttachInput, AttachOutput),
  Subscribe: method('Subscribe', SubscribeRequest, Event),
};
