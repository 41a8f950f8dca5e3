/**
 * Rotation of a log by size, with a count:
 *
 *   web.log      the log
 *   web.log.1    the one before it
 *   web.log.2    ...                 the oldest is removed
 *
 * Who was killed in the middle leaves a gap in the numbers, and nothing else: batches know their file
 * by its inode (see log-stream.ts), and the next rotation closes the gap.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';

export interface RotationLimits {
  /** The log is rotated when it has so many bytes; it may exceed it by one batch. */
  maxBytes: number;
  /** How many files there are at most, the log itself included. */
  maxFiles: number;
}

/** Makes room at the path of a log. Of one file only, the old one is removed. */
export function shiftFiles(path: string, { maxFiles }: RotationLimits): void {
  if (maxFiles === 1) {
    rmSync(path, { force: true });
    return;
  }
  for (let number = maxFiles - 1; number >= 1; number--) {
    const source = number === 1 ? path : `${path}.${number - 1}`;
    if (existsSync(source)) renameSync(source, `${path}.${number}`);
  }
}
