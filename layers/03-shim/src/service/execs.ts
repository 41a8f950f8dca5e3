/** The execs of containers: by name, and from their adding to their deletion. */
import { SIGKILL, StrataError } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { Container } from './container.ts';
import { validateId } from './container-store.ts';
import { captureExec } from './exec-capture.ts';
import { ExecProcess } from './exec-process.ts';
import { type ExecRecord, processRecord } from './records.ts';
import type { AddExec, ExecRequest, ExecResult, Repeatable } from './shim-api.ts';
import type { World } from './world.ts';

/** @throws {StrataError} NOT_FOUND */
export function findExec(container: Container, execId: string): ExecProcess {
  const exec = container.execs.get(execId);
  if (exec) return exec;
  const message = `exec ${JSON.stringify(execId)} does not exist in container ${container.id}`;
  throw new StrataError('NOT_FOUND', message, { field: 'exec_id' });
}

/** @throws {StrataError} ALREADY_EXISTS, INVALID_ID, INVALID_STATUS */
export function addExec(
  world: World,
  container: Container,
  request: AddExec & { transient?: boolean },
): ExecProcess {
  const { execId, process, transient, requestId } = request;
  validateId(execId, 'exec_id');
  const known = container.execs.get(execId);
  if (known && requestId !== undefined && known.record.requests?.create === requestId) return known;
  refuseUnlessAlive(container);
  const record: ExecRecord = {
    ...processRecord(request),
    ...{ execId, process, phase: 'added' },
    ...(transient && { transient }),
    ...(requestId !== undefined && { requests: { create: requestId } }),
  };
  world.store.reserveExec(container.id, record);
  const exec = new ExecProcess(world, container.id, record);
  container.execs.set(execId, exec);
  if (!transient) world.emit({ kind: 'exec-added', id: container.id, execId, pid: 0 });
  return exec;
}

function refuseUnlessAlive({ id, status }: Container): void {
  if (status === 'running' || status === 'created') return;
  throw new StrataError('INVALID_STATUS', `cannot exec in container ${id}: it is ${status}`, {
    hint: status === 'paused' ? 'resume it first' : 'it has ended',
  });
}

export function startExec(
  world: World,
  container: Container,
  options: { execId: string } & Repeatable,
): { pid: number } {
  const { execId, requestId } = options;
  const exec = findExec(container, execId);
  if (requestId !== undefined && exec.record.requests?.start === requestId && exec.isStarted) {
    return { pid: exec.kept.pid };
  }
  refuseUnlessAlive(container);
  const { pid } = exec.start(requestId);
  world.emit({ kind: 'exec-started', id: container.id, execId, pid });
  // Only now: a short process may have ended already, and its exit comes after its start.
  exec.kept.watch();
  return { pid };
}

/** @throws {StrataError} INVALID_STATUS where it runs and `force` is not given */
export function deleteExec(
  world: World,
  container: Container,
  options: { execId: string; force: boolean },
): ExitInfo | undefined {
  const { execId, force } = options;
  const exec = findExec(container, execId);
  const { status } = exec.state;
  if (status === 'running') {
    if (!force) {
      const message = `cannot delete exec ${execId} in container ${container.id}: it is running`;
      throw new StrataError('INVALID_STATUS', message, { hint: 'kill it first, or use force' });
    }
    exec.kept.signal(SIGKILL, { group: true });
  }
  const { exit } = exec;
  removeExec(world, container, exec);
  const pid = status === 'added' ? 0 : exec.kept.pid;
  const { id } = container;
  world.emit({ kind: 'exec-deleted', id, execId, pid, ...(exit && { exit }) });
  return exit;
}

function removeExec(world: World, container: Container, exec: ExecProcess): void {
  exec.deleted(
    new StrataError('NOT_FOUND', `exec ${exec.id} in container ${container.id} was deleted`),
  );
  exec[Symbol.dispose]();
  container.execs.delete(exec.id);
  world.store.removeExec(container.id, exec.id);
}

/** Runs a process to its end, with its output captured. */
export async function runExec(
  world: World,
  container: Container,
  request: ExecRequest,
  signal?: AbortSignal,
): Promise<ExecResult> {
  const { id, execId, process } = request;
  const exec = addExec(world, container, {
    ...{ id, execId, process, attachable: true, transient: true },
  });
  try {
    return await captureExec(exec, request, signal);
  } finally {
    if (container.execs.get(execId) === exec) removeExec(world, container, exec);
  }
}
