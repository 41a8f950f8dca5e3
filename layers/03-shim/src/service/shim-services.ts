/** The shim's two ttrpc services: Strata's own, and containerd's Task. */
import { StrataError } from '@strata/namespaces';
import type { LinuxResources } from '@strata/oci-runtime';
import { type TaskServiceOptions, taskServices } from '../containerd/task-service.ts';
import { type Services, serverStream, unary } from '../ttrpc/method.ts';
import { attachStream } from './attach-service.ts';
import type { Shim } from './shim.ts';
import type { ShimEvent } from './shim-api.ts';
import { SHIM_SERVICE, ShimCalls } from './shim-messages.ts';
import {
  createOf,
  type EventMessage,
  eventMessage,
  execStateMessage,
  exitMessage,
  parseJsonField,
  processOf,
  repeatable,
  stateMessage,
  stdioOf,
} from './shim-values.ts';

/** Output of an exec travels in pieces: a ttrpc message carries 4 MB at most. */
const OUTPUT_PIECE_BYTES = 1 << 20;

export function shimServices(shim: Shim, options: TaskServiceOptions): Services {
  return {
    [SHIM_SERVICE]: { ...containerMethods(shim), ...processMethods(shim), ...execMethods(shim) },
    ...taskServices(shim, options),
  };
}

type Methods = Services[string];

function containerMethods(shim: Shim): Methods {
  const { Create, Start, Kill, Stop, State, List, Wait, Delete, Subscribe } = ShimCalls;
  return {
    Create: unary(Create.request, Create.response, (request) => shim.create(createOf(request))),
    Start: unary(Start.request, Start.response, async ({ id, requestId }) => {
      await shim.start(id, repeatable(requestId));
      return {};
    }),
    Kill: unary(Kill.request, Kill.response, async ({ id, signal, all, requestId }) => {
      await shim.kill(id, signal, all, repeatable(requestId));
      return {};
    }),
    Stop: unary(Stop.request, Stop.response, async ({ id, signal, timeoutMs, requestId }) => {
      const options = { signal, timeoutMs: Number(timeoutMs), ...repeatable(requestId) };
      return exitMessage(await shim.stop(id, options));
    }),
    State: unary(State.request, State.response, async ({ id }) =>
      stateMessage(await shim.state(id)),
    ),
    List: unary(List.request, List.response, async () => ({
      containers: (await shim.list()).map(stateMessage),
    })),
    Wait: unary(Wait.request, Wait.response, async ({ id }) => exitMessage(await shim.wait(id))),
    Delete: unary(Delete.request, Delete.response, async ({ id, force, requestId }) =>
      exitMessage(await shim.delete(id, { force, ...repeatable(requestId) })),
    ),
    Subscribe: serverStream(Subscribe.request, Subscribe.response, (_, { signal }) =>
      events(shim, signal),
    ),
  };
}

function processMethods(shim: Shim): Methods {
  const { Pause, Resume, Update, Stats, Processes, ReopenLog, Resize, CloseStdin } = ShimCalls;
  const done = async (work: Promise<unknown>): Promise<object> => {
    await work;
    return {};
  };
  const name = ({ execId }: { execId: string }) => (execId === '' ? {} : { execId });
  return {
    Pause: unary(Pause.request, Pause.response, ({ id }) => done(shim.pause(id))),
    Resume: unary(Resume.request, Resume.response, ({ id }) => done(shim.resume(id))),
    Update: unary(Update.request, Update.response, ({ id, resourcesJson }) =>
      done(shim.update(id, parseJsonField(resourcesJson, 'resources_json') as LinuxResources)),
    ),
    Stats: unary(Stats.request, Stats.response, async ({ id }) => ({
      statsJson: JSON.stringify(await shim.stats(id)),
    })),
    Processes: unary(Processes.request, Processes.response, async ({ id }) => ({
      processes: (await shim.processes(id)).map(({ pid, execId = '' }) => ({ pid, execId })),
    })),
    ReopenLog: unary(ReopenLog.request, ReopenLog.response, ({ id }) => done(shim.reopenLog(id))),
    Resize: unary(Resize.request, Resize.response, ({ id, rows, columns, ...request }) =>
      done(shim.resize(id, { rows, columns }, name(request))),
    ),
    CloseStdin: unary(CloseStdin.request, CloseStdin.response, ({ id, ...request }) =>
      done(shim.closeStdin(id, name(request))),
    ),
    Attach: attachStream(shim),
  };
}

function execMethods(shim: Shim): Methods {
  const { Exec, AddExec, StartExec, ExecState, ListExecs, KillExec, WaitExec, DeleteExec } =
    ShimCalls;
  return {
    Exec: serverStream(Exec.request, Exec.response, async function* (request, { signal }) {
      const { id, execId, processJson, timeoutMs } = request;
      const process = processOf(processJson);
      const result = await shim.exec({ id, execId, process, timeoutMs: Number(timeoutMs) }, signal);
      for (const name of ['stdout', 'stderr'] as const) {
        const bytes = result[name];
        for (let at = 0; at < bytes.length; at += OUTPUT_PIECE_BYTES) {
          yield { [name]: bytes.subarray(at, at + OUTPUT_PIECE_BYTES) };
        }
      }
      const { exitStatus, truncated } = result;
      yield { exit: { exitStatus, truncated } };
    }),
    AddExec: unary(AddExec.request, AddExec.response, async (request) => {
      const { id, execId, processJson, stdio, requestId } = request;
      const process = processOf(processJson);
      await shim.addExec({ id, execId, process, ...stdioOf(stdio), ...repeatable(requestId) });
      return {};
    }),
    StartExec: unary(StartExec.request, StartExec.response, ({ id, execId, requestId }) =>
      shim.startExec(id, execId, repeatable(requestId)),
    ),
    ExecState: unary(ExecState.request, ExecState.response, async ({ id, execId }) =>
      execStateMessage(await shim.execState(id, execId)),
    ),
    ListExecs: unary(ListExecs.request, ListExecs.response, async ({ id }) => ({
      execs: (await shim.listExecs(id)).map(execStateMessage),
    })),
    KillExec: unary(KillExec.request, KillExec.response, async (request) => {
      const { id, execId, signal, requestId } = request;
      await shim.killExec(id, execId, signal, repeatable(requestId));
      return {};
    }),
    WaitExec: unary(WaitExec.request, WaitExec.response, async ({ id, execId }) =>
      exitMessage(await shim.waitExec(id, execId)),
    ),
    DeleteExec: unary(DeleteExec.request, DeleteExec.response, async ({ id, execId, force }) =>
      exitMessage(await shim.deleteExec(id, execId, { force })),
    ),
  };
}

/** Events that a subscriber has not read; with more it is cut off, and has to look for itself. */
const MOST_EVENTS = 10_000;

/**
 * Events from now on, until the subscriber goes away.
 * @throws {StrataError} EVENTS_LOST where it does not read them
 */
async function* events(shim: Shim, signal: AbortSignal): AsyncGenerator<Partial<EventMessage>> {
  const queue: ShimEvent[] = [];
  let wake = Promise.withResolvers<void>();
  const unsubscribe = shim.subscribe((event) => {
    if (queue.length <= MOST_EVENTS) queue.push(event);
    wake.resolve();
  });
  signal.addEventListener('abort', () => wake.resolve());
  // Says that the subscription is in force.
  yield { kind: 'subscribed' };
  try {
    while (!signal.aborted) {
      for (let event = queue.shift(); event; event = queue.shift()) {
        if (queue.length >= MOST_EVENTS) throw eventsLost();
        yield eventMessage(event);
      }
      await wake.promise;
      wake = Promise.withResolvers<void>();
    }
  } finally {
    unsubscribe();
  }
}

const eventsLost = (): StrataError =>
  new StrataError('EVENTS_LOST', `more than ${MOST_EVENTS} events were not read`, {
    hint: 'subscribe again, and list the containers',
  });
