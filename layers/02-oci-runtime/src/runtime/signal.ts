/** Signals to a container's processes, by descriptor, so that a reused pid is never hit. */
import {
  Cgroup,
  ESRCH,
  isFrozenCgroup,
  localSyscalls,
  POLLIN,
  SIGKILL,
  StrataError,
  WEXITED,
  WNOHANG,
} from '@strata/namespaces';
import {
  identify,
  openProcess,
  type ProcessIdentity,
  readProcessStat,
} from '../process/identity.ts';
import { processesOf } from './container-processes.ts';
import type { ContainerRecord } from './state-store.ts';

/**
 * Signals the init, or with `all` every process of the container. SIGKILL is for all of them where no
 * PID namespace ends with the init, and reaches those that are paused.
 * @throws {StrataError} NOT_RUNNING
 */
export function signalContainer(record: ContainerRecord, signal: number, all: boolean): void {
  if (all || (signal === SIGKILL && !record.hasOwnPidNamespace)) {
    signalAll(record, signal);
    return;
  }
  signalInit(record, signal);
  // A process of v1 that is frozen would not end before it is thawed.
  if (signal === SIGKILL && isFrozenCgroup(record.cgroups)) Cgroup.open(record.cgroups).thaw();
}

function signalInit(record: ContainerRecord, signal: number): void {
  if (signalProcess(record.init, signal)) return;
  throw new StrataError('NOT_RUNNING', `container not running: ${record.id}`, { errno: ESRCH });
}

/** Whether it was there. */
function signalProcess(identity: ProcessIdentity | undefined, signal: number): boolean {
  const sys = localSyscalls();
  const fd = openProcess(identity);
  if (fd === undefined) return false;
  try {
    const result = sys.attempt('pidfd_send_signal', fd, signal, null, 0);
    if (result >= 0 || result === -ESRCH) return result >= 0;
    throw sys.failure('pidfd_send_signal', -result, [identity!.pid, signal]);
  } finally {
    sys.close(fd);
  }
}

function signalAll(record: ContainerRecord, signal: number): void {
  if (signal === SIGKILL && Object.keys(record.cgroups).length > 0) {
    Cgroup.open(record.cgroups).kill();
    return;
  }
  // The init last: with it, and its namespace, the others would be gone.
  const init = record.init?.pid;
  const identities = processesOf(record).map(identify);
  const stillThere = new Set(processesOf(record));
  for (const identity of identities) {
    if (identity.pid !== init && stillThere.has(identity.pid)) signalProcess(identity, signal);
  }
  signalProcess(record.init, signal);
}

/** How long a process may take to end once it is killed: as long as runc waits. */
const END_LIMIT_MS = 10_000;
const LOOK_MS = 250;

/**
 * Kills one process, waits until it has ended, and reaps it where it is our child.
 * @param options.stillThere called while it does not end
 * @param options.reap false where that is for its creator to do, who may be us
 * @throws {StrataError} STILL_RUNNING after 10 s
 */
export function killAndReap(
  identity: ProcessIdentity | undefined,
  options: { stillThere?: () => void; reap?: boolean } = {},
): void {
  const { stillThere = () => {}, reap = true } = options;
  const sys = localSyscalls();
  const fd = openProcess(identity);
  if (fd === undefined) return;
  const { pid } = identity!;
  try {
    sys.attempt('pidfd_send_signal', fd, SIGKILL, null, 0);
    for (let waited = 0; (sys.poll(fd, POLLIN, LOOK_MS) & POLLIN) === 0; waited += LOOK_MS) {
      if (waited >= END_LIMIT_MS) throw stillRunning(pid);
      stillThere();
    }
    if (reap) sys.attempt('waitid', 1, pid, null, WEXITED | WNOHANG, null);
  } finally {
    sys.close(fd);
  }
}

function stillRunning(pid: number): StrataError {
  const state = readProcessStat(pid)?.state;
  return new StrataError('STILL_RUNNING', `process ${pid} is killed and does not end`, {
    hint:
      state === 'D'
        ? 'it waits for a device or a network file system: see its /proc/PID/stack'
        : `its state is ${state}`,
  });
}
