/**
 * containerd's Task service, versions 2 and 3: what a container manager that speaks containerd's shim
 * API calls. Strata's own clients use it too, where it says all they need (start, kill, pids).
 *
 * A call names a container, and with exec_id a process in it. Where containerd expects it, what we call
 * a wrong status is told as NOT_FOUND: it takes a process that has ended for one that is no more.
 */
import { type CgroupResources, detectCgroups, homeOf, StrataError } from '@strata/namespaces';
import type { SpecProcess } from '@strata/oci-runtime';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { StdioPaths } from '../service/records.ts';
import type { Shim } from '../service/shim.ts';
import { TASK_SERVICE, TASK_SERVICE_V3, TASK_STATUS, Task } from '../service/task-messages.ts';
import type { ValueOfMessage } from '../ttrpc/message.ts';
import { type Services, unary } from '../ttrpc/method.ts';
import { metricsOf } from './metrics/metrics.ts';
import { OPTIONS_TYPE, Options, PROCESS_DETAILS_TYPE, ProcessDetails } from './runc-options.ts';

const STATUS = {
  created: TASK_STATUS.CREATED,
  running: TASK_STATUS.RUNNING,
  paused: TASK_STATUS.PAUSED,
  restarting: TASK_STATUS.RUNNING,
  stopped: TASK_STATUS.STOPPED,
  added: TASK_STATUS.CREATED,
};

export type CreateTask = ValueOfMessage<typeof Task.Create.request>;

export interface TaskServiceOptions {
  /** Called when a client asks the shim to end. */
  shutdown: () => void;
  /** Hears of each Create before it is done. */
  onCreate?: ((request: CreateTask) => void) | undefined;
}

export function taskServices(shim: Shim, options: TaskServiceOptions): Services {
  const methods = {
    ...lifeMethods(shim, options),
    ...processMethods(shim),
    ...resourceMethods(shim),
  };
  const connect = (version: string) => ({ ...methods, ...shimMethods(shim, options, version) });
  return { [TASK_SERVICE]: connect('2'), [TASK_SERVICE_V3]: connect('3') };
}

type Methods = Services[string];

function lifeMethods(shim: Shim, { onCreate }: TaskServiceOptions): Methods {
  const { Create, Start, State, Wait, Delete } = Task;
  return {
    Create: unary(Create.request, Create.response, async (request) => {
      const { id, bundle, terminal, rootfs } = request;
      if (request.checkpoint) throw unsupported('checkpoint', 'restore is not served');
      refuseUnknownOptions(request.options);
      onCreate?.(request);
      return shim.create({ id, bundle, terminal, rootfs, stdio: stdioPaths(request) });
    }),
    Start: unary(Start.request, Start.response, async ({ id, execId }) => {
      if (execId !== '') return shim.startExec(id, execId);
      await shim.start(id);
      return { pid: (await shim.state(id)).pid };
    }),
    State: unary(State.request, State.response, async ({ id, execId }) => {
      const container = await shim.state(id);
      const { pid, terminal, status, exit, stdio } =
        execId === '' ? container : await shim.execState(id, execId);
      const { bundle } = container;
      const named = { id: execId === '' ? id : execId, bundle, execId };
      return { ...named, pid, terminal, status: STATUS[status], ...stdio, ...ended(exit) };
    }),
    Wait: unary(Wait.request, Wait.response, async ({ id, execId }) =>
      ended(await (execId === '' ? shim.wait(id) : shim.waitExec(id, execId))),
    ),
    Delete: unary(Delete.request, Delete.response, async ({ id, execId }) => {
      const { pid } = await (execId === '' ? shim.state(id) : shim.execState(id, execId));
      const exit = await (execId === '' ? shim.delete(id) : shim.deleteExec(id, execId));
      return { pid, ...ended(exit) };
    }),
  };
}

function processMethods(shim: Shim): Methods {
  const { Exec, Kill, ResizePty, CloseIO, Pids } = Task;
  const named = (execId: string) => (execId === '' ? {} : { execId });
  return {
    Exec: unary(Exec.request, Exec.response, async (request) => {
      const { id, execId, terminal, spec } = request;
      const process = parseAny(spec, 'spec') as SpecProcess;
      await shim.addExec({ id, execId, process, terminal, stdio: stdioPaths(request) });
      return {};
    }),
    Kill: unary(Kill.request, Kill.response, async ({ id, execId, signal, all }) => {
      await endedIsGone(
        execId === '' ? shim.kill(id, signal, all) : shim.killExec(id, execId, signal),
      );
      return {};
    }),
    ResizePty: unary(
      ResizePty.request,
      ResizePty.response,
      async ({ id, execId, width, height }) => {
        try {
          await shim.resize(id, { rows: height, columns: width }, named(execId));
        } catch (error) {
          // containerd's clients resize whatever they are attached to.
          if (!(error instanceof StrataError && error.code === 'NO_TERMINAL')) throw error;
        }
        return {};
      },
    ),
    CloseIO: unary(CloseIO.request, CloseIO.response, async ({ id, execId, stdin }) => {
      if (stdin) await shim.closeStdin(id, named(execId));
      return {};
    }),
    Pids: unary(Pids.request, Pids.response, async ({ id }) => ({
      processes: (await shim.processes(id)).map(({ pid, execId }) => ({
        pid,
        info:
          execId === undefined
            ? undefined
            : { typeUrl: PROCESS_DETAILS_TYPE, value: ProcessDetails.encode({ execId }) },
      })),
    })),
  };
}

function resourceMethods(shim: Shim): Methods {
  const { Pause, Resume, Checkpoint, Update, Stats } = Task;
  return {
    Pause: unary(Pause.request, Pause.response, async ({ id }) => {
      await shim.pause(id);
      return {};
    }),
    Resume: unary(Resume.request, Resume.response, async ({ id }) => {
      await shim.resume(id);
      return {};
    }),
    Checkpoint: unary(Checkpoint.request, Checkpoint.response, () => {
      throw unsupported('checkpoint', 'the runtime of this container has none');
    }),
    Update: unary(Update.request, Update.response, async ({ id, resources }) => {
      await shim.update(id, parseAny(resources, 'resources') as CgroupResources);
      return {};
    }),
    Stats: unary(Stats.request, Stats.response, async ({ id }) => {
      const version = homeOf(detectCgroups(), 'memory')?.version ?? 2;
      return { stats: metricsOf(await shim.stats(id), version) };
    }),
  };
}

function shimMethods(shim: Shim, { shutdown }: TaskServiceOptions, version: string): Methods {
  const { Connect, Shutdown } = Task;
  return {
    Connect: unary(Connect.request, Connect.response, async ({ id }) => ({
      shimPid: process.pid,
      taskPid: id === '' ? 0 : (await shim.state(id)).pid,
      version,
    })),
    Shutdown: unary(Shutdown.request, Shutdown.response, ({ now }) => {
      // Who asks may not be the only one: another container's `start` may just have been answered with
      // our address. Without containers and callers the shim ends by itself, after a while.
      if (now) setImmediate(shutdown);
      return {};
    }),
  };
}

/** What was asked for and cannot be had is an error, and not passed over. */
function refuseUnknownOptions(options: CreateTask['options']): void {
  if (!options || options.value.length === 0) return;
  if (options.typeUrl !== OPTIONS_TYPE) {
    throw unsupported('options', `of type ${options.typeUrl}; ${OPTIONS_TYPE} is known`);
  }
  const { binaryName, systemdCgroup, noPivotRoot, noNewKeyring } = Options.decode(options.value);
  const asked = {
    ...{ binary_name: binaryName !== '', systemd_cgroup: systemdCgroup },
    ...{ no_pivot_root: noPivotRoot, no_new_keyring: noNewKeyring },
  };
  const field = Object.entries(asked).find(([, isAsked]) => isAsked)?.[0];
  if (field) throw unsupported(`options.${field}`, 'the runtime is strata, with its cgroup driver');
}

/** What a process that has ended is told as by containerd's shim. */
async function endedIsGone(kill: Promise<void>): Promise<void> {
  try {
    await kill;
  } catch (error) {
    const codes = ['INVALID_STATUS', 'NOT_RUNNING'];
    if (!(error instanceof StrataError) || !codes.includes(error.code)) throw error;
    throw new StrataError('NOT_FOUND', `process already finished: ${error.message}`);
  }
}

function ended(exit: ExitInfo | undefined) {
  if (!exit) return {};
  const { exitStatus, exitedAtNs } = exit;
  const seconds = exitedAtNs / 1_000_000_000n;
  return { exitStatus, exitedAt: { seconds, nanos: Number(exitedAtNs % 1_000_000_000n) } };
}

function stdioPaths({ stdin, stdout, stderr, terminal }: StdioPaths & { terminal: boolean }) {
  return { stdin, stdout, stderr: terminal ? '' : stderr };
}

/** JSON in an `Any`, as containerd packs what is of the runtime specification. */
function parseAny(any: { value: Uint8Array } | undefined, field: string): unknown {
  if (!any) throw new StrataError('INVALID_ARGUMENT', `${field} is missing`, { field });
  try {
    return JSON.parse(new TextDecoder().decode(any.value));
  } catch (cause) {
    throw new StrataError('INVALID_ARGUMENT', `${field} is not JSON`, { field, cause });
  }
}

function unsupported(field: string, hint: string): StrataError {
  return new StrataError('UNIMPLEMENTED', `${field} is not supported yet`, { field, hint });
}
