/** Signals to a container's processes, by descriptor, so that a reused pid is never hit. */
import {
  Cgroup,
  ESRCH,
  localSyscalls,
  POLLIN,
  SIGKILL,
  StrataError,
  WEXITED,
  WNOHANG,
} from '@strata/namespaces';
import type { ContainerRecord, ProcessIdentity } from './state-store.ts';
import { readProcessStat } from './status.ts';

/** A pidfd of exactly this process, or undefined where it has gone. The caller closes it. */
export function openProcess(identity: ProcessIdentity | undefined): number | undefined {
  if (!identity) return undefined;
  const sys = localSyscalls();
  const fd = sys.attempt('pidfd_open', identity.pid, 0);
  if (fd === -ESRCH) return undefined;
  if (fd < 0) throw sys.failure('pidfd_open', -fd, [identity.pid]);
  // The pid may have been reused between the record and the open, but not after the open.
  if (readProcessStat(identity.pid)?.startTime === identity.startTime) return fd;
  sys.close(fd);
  return undefined;
}

/**
 * Signals the init, or with `all` every process of the container's cgroup.
 * @throws {StrataError} NOT_RUNNING
 */
export function signalContainer(record: ContainerRecord, signal: number, all: boolean): void {
  const sys = localSyscalls();
  const fd = openProcess(record.init);
  try {
    if (all) {
      signalCgroup(record, signal);
      return;
    }
    const result =
      fd === undefined ? -ESRCH : sys.attempt('pidfd_send_signal', fd, signal, null, 0);
    if (result === -ESRCH) {
      throw new StrataError('NOT_RUNNING', `container ${record.id} is not running`, {
        errno: ESRCH,
      });
    }
    if (result < 0) throw sys.failure('pidfd_send_signal', -result, [record.init!.pid, signal]);
  } finally {
    if (fd !== undefined) sys.close(fd);
  }
}

function signalCgroup(record: ContainerRecord, signal: number): void {
  const cgroup = Cgroup.open(record.cgroups);
  if (signal === SIGKILL) {
    cgroup.kill();
    return;
  }
  const sys = localSyscalls();
  for (const pid of cgroup.processes()) {
    const result = sys.attempt('kill', pid, signal);
    if (result < 0 && result !== -ESRCH) throw sys.failure('kill', -result, [pid, signal]);
  }
}

/** Kills one process, waits until it has ended, and reaps it where it is our child. */
export function killAndReap(identity: ProcessIdentity | undefined): void {
  const sys = localSyscalls();
  const fd = openProcess(identity);
  if (fd === undefined) return;
  try {
    sys.attempt('pidfd_send_signal', fd, SIGKILL, null, 0);
    sys.poll(fd, POLLIN, -1);
    sys.attempt('waitid', 1, identity!.pid, null, WEXITED | WNOHANG, null);
  } finally {
    sys.close(fd);
  }
}
