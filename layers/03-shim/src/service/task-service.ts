/**
 * containerd's Task service: what a container manager that speaks containerd's shim API calls.
 * Strata's own clients use it too, where it says all they need (start, kill, pids).
 */
import { StrataError } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { type Services, unary } from '../ttrpc/method.ts';
import type { Shim } from './shim.ts';
import { TASK_STATUS, Task } from './task-messages.ts';

const VERSION = '2';
const STATUS = {
  created: TASK_STATUS.CREATED,
  running: TASK_STATUS.RUNNING,
  paused: TASK_STATUS.PAUSED,
  stopped: TASK_STATUS.STOPPED,
};

export function taskMethods(shim: Shim, shutdown: () => void): Services[string] {
  return {
    Create: unary(Task.Create.request, Task.Create.response, async (request) => {
      const { id, bundle, terminal, stdin, stdout, stderr } = request;
      if (request.rootfs.length > 0) throw unsupported('rootfs', 'mount the rootfs in the bundle');
      if (request.checkpoint) throw unsupported('checkpoint', 'restore is not served');
      if (terminal) throw unsupported('terminal', 'create it with strata.shim.v1.Shim');
      return shim.create({ id, bundle, stdio: { stdin, stdout, stderr } });
    }),
    Start: unary(Task.Start.request, Task.Start.response, async ({ id, execId }) => {
      refuseExec(execId);
      await shim.start(id);
      return { pid: (await shim.state(id)).pid };
    }),
    State: unary(Task.State.request, Task.State.response, async ({ id, execId }) => {
      refuseExec(execId);
      const { status, exit, ...state } = await shim.state(id);
      const ended = exit && { exitStatus: exit.exitStatus, exitedAt: timestamp(exit) };
      const { bundle, pid, terminal } = state;
      return { id, bundle, pid, terminal, status: STATUS[status], ...ended };
    }),
    Kill: unary(Task.Kill.request, Task.Kill.response, async ({ id, execId, signal, all }) => {
      refuseExec(execId);
      await shim.kill(id, signal, all);
      return {};
    }),
    Wait: unary(Task.Wait.request, Task.Wait.response, async ({ id, execId }) => {
      refuseExec(execId);
      const exit = await shim.wait(id);
      return { exitStatus: exit.exitStatus, exitedAt: timestamp(exit) };
    }),
    Delete: unary(Task.Delete.request, Task.Delete.response, async ({ id, execId }) => {
      refuseExec(execId);
      const { pid } = await shim.state(id);
      const exit = await shim.delete(id);
      return { pid, ...(exit && { exitStatus: exit.exitStatus, exitedAt: timestamp(exit) }) };
    }),
    Pids: unary(Task.Pids.request, Task.Pids.response, async ({ id }) => ({
      processes: (await shim.pids(id)).map((pid) => ({ pid, info: undefined })),
    })),
    Connect: unary(Task.Connect.request, Task.Connect.response, async ({ id }) => ({
      shimPid: process.pid,
      taskPid: id === '' ? 0 : (await shim.state(id)).pid,
      version: VERSION,
    })),
    Shutdown: unary(Task.Shutdown.request, Task.Shutdown.response, ({ now }) => {
      // As containerd's shim: with containers left, only `now` ends it (they go on all the same).
      if (now || shim.size === 0) setImmediate(shutdown);
      return {};
    }),
  };
}

function timestamp(exit: ExitInfo): { seconds: bigint; nanos: number } {
  const { exitedAtNs } = exit;
  return { seconds: exitedAtNs / 1_000_000_000n, nanos: Number(exitedAtNs % 1_000_000_000n) };
}

function refuseExec(execId: string): void {
  if (execId !== '') throw unsupported('exec_id', 'use strata.shim.v1.Shim/Exec');
}

function unsupported(field: string, hint: string): StrataError {
  return new StrataError('UNIMPLEMENTED', `${field} is not supported yet`, { field, hint });
}
