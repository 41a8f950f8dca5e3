/**
 * Who is at an operation: the pid and start time of a process, written beside what it is making. A
 * record whose owner has ended half-way is for the next `Manager.open` to undo.
 */
import { readProcessStat } from '@strata/oci-runtime';

let mine: string | undefined;

/** This process, as it is written into records. */
export function thisOwner(): string {
  mine ??= `${process.pid}/${readProcessStat(process.pid)?.startTime ?? 0}`;
  return mine;
}

export function ownerIsAlive(owner: string): boolean {
  const [pid, startTime] = owner.split('/').map(Number);
  return readProcessStat(pid!)?.startTime === startTime;
}
