/** The shim's two ttrpc services: Strata's own, and containerd's Task. */
import { StrataError } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { type Services, serverStream, unary } from '../ttrpc/server.ts';
import type { Shim } from './shim.ts';
import type { ContainerState, ExecRequest, ShimEvent } from './shim-api.ts';
import type * as messages from './shim-messages.ts';
import { SHIM_SERVICE, ShimCalls } from './shim-messages.ts';
import { TASK_SERVICE } from './task-messages.ts';
import { taskMethods } from './task-service.ts';

/** Output of an exec travels in pieces: a ttrpc message carries 4 MB at most. */
const OUTPUT_PIECE_BYTES = 1 << 20;

/** @param shutdown called when a client asks the shim to end */
export function shimServices(shim: Shim, shutdown: () => void): Services {
  return { [SHIM_SERVICE]: shimMethods(shim), [TASK_SERVICE]: taskMethods(shim, shutdown) };
}

function shimMethods(shim: Shim): Services[string] {
  const { Create, State, List, Wait, Delete, ReopenLog, Exec, Subscribe } = ShimCalls;
  return {
    Create: unary(Create.request, Create.response, (request) => {
      const { id, bundle, terminal, logPath, logFormat, start } = request;
      if (logPath === '') return shim.create({ id, bundle, terminal, start });
      if (logFormat !== 'cri' && logFormat !== 'none') {
        const message = `unknown log format ${JSON.stringify(logFormat)}`;
        throw new StrataError('INVALID_ARGUMENT', message, { field: 'log_format' });
      }
      const log = { path: logPath, format: logFormat } as const;
      return shim.create({ id, bundle, terminal, log, start });
    }),
    State: unary(State.request, State.response, async ({ id }) =>
      stateMessage(await shim.state(id)),
    ),
    List: unary(List.request, List.response, async () => ({
      containers: (await shim.list()).map(stateMessage),
    })),
    Wait: unary(Wait.request, Wait.response, async ({ id }) => exitMessage(await shim.wait(id))),
    Delete: unary(Delete.request, Delete.response, async ({ id, force }) =>
      exitMessage(await shim.delete(id, { force })),
    ),
    ReopenLog: unary(ReopenLog.request, ReopenLog.response, async ({ id }) => {
      await shim.reopenLog(id);
      return {};
    }),
    Exec: serverStream(Exec.request, Exec.response, async function* (request, { signal }) {
      const result = await shim.exec(execRequest(request), signal);
      for (const name of ['stdout', 'stderr'] as const) {
        const bytes = result[name];
        for (let at = 0; at < bytes.length; at += OUTPUT_PIECE_BYTES) {
          yield { [name]: bytes.subarray(at, at + OUTPUT_PIECE_BYTES) };
        }
      }
      const { exitStatus, truncated } = result;
      yield { exit: { exitStatus, truncated } };
    }),
    Subscribe: serverStream(Subscribe.request, Subscribe.response, (_, { signal }) =>
      events(shim, signal),
    ),
  };
}

function execRequest(request: ReturnType<typeof messages.ExecRequest.decode>): ExecRequest {
  const { id, execId, processJson, timeoutMs } = request;
  let process: ExecRequest['process'];
  try {
    process = JSON.parse(processJson);
  } catch (cause) {
    throw new StrataError('INVALID_ARGUMENT', 'process_json is not JSON', {
      field: 'process_json',
      cause,
    });
  }
  return { id, execId, process, timeoutMs: Number(timeoutMs) };
}

/** Events from now on, until the subscriber goes away. */
async function* events(shim: Shim, signal: AbortSignal): AsyncGenerator<EventMessage> {
  const queue: ShimEvent[] = [];
  let wake = Promise.withResolvers<void>();
  const unsubscribe = shim.subscribe((event) => {
    queue.push(event);
    wake.resolve();
  });
  signal.addEventListener('abort', () => wake.resolve());
  // Says that the subscription is in force.
  yield { kind: 'subscribed' };
  try {
    while (!signal.aborted) {
      for (let event = queue.shift(); event; event = queue.shift()) {
        const { kind, id, pid, exit } = event;
        yield { kind, id, pid, ...(exit && { exit: exitMessage(exit) }) };
      }
      await wake.promise;
      wake = Promise.withResolvers<void>();
    }
  } finally {
    unsubscribe();
  }
}
type EventMessage = Partial<ReturnType<typeof messages.Event.decode>>;
type ExitMessage = ReturnType<typeof messages.ExitInfo.decode>;

function exitMessage(exit: ExitInfo | undefined): ExitMessage {
  if (!exit) return { exited: false, exitStatus: 0, exitedAtNs: 0n, oomKilled: false };
  return { exited: true, ...exit };
}

function stateMessage(state: ContainerState): ReturnType<typeof messages.ContainerState.decode> {
  const { logPath, exit, ...rest } = state;
  return { ...rest, logPath: logPath ?? '', exit: exit && exitMessage(exit) };
}
