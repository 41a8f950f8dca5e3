/**
 * How a process ended, as its keeper wrote it: the 128 bytes of waitid(2)'s siginfo_t in a file that
 * exists, empty, before the process does. The file's modification time is the time of the end.
 */
import { readFileSync, statSync } from 'node:fs';
import { CLD_EXITED, parseChildStatus, SIGINFO_BYTES } from '@strata/namespaces';

export interface ExitInfo {
  /** As a shell has it: 128 + signal for a process that was killed. */
  exitStatus: number;
  /** Nanoseconds of the Unix epoch. */
  exitedAtNs: bigint;
  /** The kernel killed a process of the container for want of memory. */
  oomKilled: boolean;
}

/** What nobody can know any more: the keeper was killed before the process ended. */
export const UNKNOWN_EXIT_STATUS = 255;
const SIGNALLED = 128;

/** The record; undefined while the process runs, or where there is no such file. */
export function readExitRecord(path: string): Omit<ExitInfo, 'oomKilled'> | undefined {
  const file = statSync(path, { bigint: true, throwIfNoEntry: false });
  // It is written with one write(2): wholly there or not at all.
  if (file === undefined || file.size < BigInt(SIGINFO_BYTES)) return undefined;
  return { exitStatus: parseExit(readFileSync(path)), exitedAtNs: file.mtimeNs };
}

/** The exit status in a siginfo_t. */
export function parseExit(siginfo: Uint8Array): number {
  const { code, status } = parseChildStatus(siginfo);
  return code === CLD_EXITED ? status : SIGNALLED + status;
}
