/** Memory of processes, by proportional set size: shared pages count once over all sharers. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * PSS in kB of a process.
 * @see proc_pid_smaps_rollup(5)
 */
export function proportionalSetSize(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kilobytes = /^Pss:\s+(\d+) kB$/m.exec(text)?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/smaps_rollup has no Pss`);
  return Number(kilobytes);
}

/** Sum of the PSS of several processes, in kB. */
export const memoryOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + proportionalSetSize(pid), 0);

/** The process and its descendants. */
export function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return [pid, ...children.flatMap((child) => processTree(Number(child)))];
}
