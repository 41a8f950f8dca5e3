/** Strata's own shim API. @see proto/strata/shim/v1/shim.proto */
import type { MethodType } from '../ttrpc/client.ts';
import { type Message, message } from '../ttrpc/message.ts';

export const SHIM_SERVICE = 'strata.shim.v1.Shim';

export const CreateRequest = message({
  id: [1, 'string'],
  bundle: [2, 'string'],
  terminal: [3, 'bool'],
  logPath: [4, 'string'],
  logFormat: [5, 'string'],
  start: [6, 'bool'],
});
export const CreateResponse = message({ pid: [1, 'uint32'] });
export const ContainerRequest = message({ id: [1, 'string'] });
export const DeleteRequest = message({ id: [1, 'string'], force: [2, 'bool'] });
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
});
export const ListRequest = message({});
export const ListResponse = message({ containers: [1, ContainerState, 'repeated'] });
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
export const SubscribeRequest = message({});
export const Event = message({
  kind: [1, 'string'],
  id: [2, 'string'],
  pid: [3, 'uint32'],
  exit: [4, ExitInfo],
});

const method = <Q, A>(
  name: string,
  request: Message<Q>,
  response: Message<A>,
): MethodType<Q, A> => ({ service: SHIM_SERVICE, name, request, response });

/** The calls of the service, for a client. */
export const ShimCalls = {
  Create: method('Create', CreateRequest, CreateResponse),
  State: method('State', ContainerRequest, ContainerState),
  List: method('List', ListRequest, ListResponse),
  Wait: method('Wait', ContainerRequest, ExitInfo),
  Delete: method('Delete', DeleteRequest, ExitInfo),
  ReopenLog: method('ReopenLog', ContainerRequest, ReopenLogResponse),
  Exec: method('Exec', ExecRequest, ExecResponse),
  Subscribe: method('Subscribe', SubscribeRequest, Event),
};
