/**
 * Who a process is, for good: its pid alone will be another's some day.
 *
 * @see proc_pid_stat(5)
 */
import { readFileSync } from 'node:fs';
import { ENOENT, ESRCH, errnoOf, localSyscalls } from '@strata/namespaces';

export interface ProcessIdentity {
  pid: number;
  /** Field 22 of /proc/PID/stat: with the pid, it identifies a process for good. */
  startTime: number;
}

interface ProcessStat {
  /** One letter: R, S, D, Z, ... */
  state: string;
  startTime: number;
}

/** Reads /proc/PID/stat; undefined where there is no such process. */
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
