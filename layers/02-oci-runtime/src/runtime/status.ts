/**
 * The status of a container, derived from the kernel and never stored: what is not written down
 * cannot be wrong after a crash.
 *
 *   creating ──▶ created ──▶ running ──▶ stopped
 *                   │ ▲         │ ▲         ▲
 *                   ▼ │         ▼ │         │
 *                  paused      paused       │      (with `delete --force` from everywhere)
 *                   └───────────┴───────────┘
 *
 *   no init in the record      creating (or its creator died)
 *   init gone or a zombie      stopped
 *   cgroup frozen              paused
 *   init still runs the stub   created
 *   otherwise                  running
 *
 * @see runtime-spec runtime.md#state
 */
import { readFileSync, statSync } from 'node:fs';
import { ENOENT, ESRCH, errnoOf, isFrozenCgroup } from '@strata/namespaces';
import type { ContainerRecord, ProcessIdentity } from './state-store.ts';

export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

interface ProcessStat {
  /** One letter: R, S, D, Z, ... */
  state: string;
  startTime: number;
}

/** Reads /proc/PID/stat; undefined where there is no such process. @see proc_pid_stat(5) */
export function readProcessStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === ENOENT || errno === ESRCH) return undefined;
    throw error;
  }
  // The command name may hold spaces and parentheses; what follows its last one does not.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, startTime: Number(fields[19]) };
}

/** Who a process is, for as long as it lives. */
export function identify(pid: number): ProcessIdentity {
  return { pid, startTime: readProcessStat(pid)?.startTime ?? 0 };
}

/** Whether it is the very process, and not ended. */
export function isAlive(identity: ProcessIdentity | undefined): boolean {
  if (!identity) return false;
  const stat = readProcessStat(identity.pid);
  if (!stat || stat.startTime !== identity.startTime) return false;
  return stat.state !== 'Z' && stat.state !== 'X';
}

export function statusOf(record: ContainerRecord): Status {
  const { init, stub } = record;
  if (!init || !stub) return 'creating';
  if (!isAlive(init)) return 'stopped';
  if (isFrozenCgroup(record.cgroups)) return 'paused';
  try {
    const executable = statSync(`/proc/${init.pid}/exe`);
    return executable.ino === stub.inode && executable.dev === stub.device ? 'created' : 'running';
  } catch (error) {
    if (errnoOf(error) === ENOENT || errnoOf(error) === ESRCH) return 'stopped';
    throw error;
  }
}
