/**
 * A log without anything added: both streams' lines as they are, each line in one piece (up to 16384
 * bytes: a longer one may have a line of the other stream in between).
 */
import { type Batch, type LogFormatter, MAX_CONTENT_BYTES, type WritePiece } from './log-format.ts';

const NEWLINE = 10;

export const plainFormat: LogFormatter = {
  format(input: Uint8Array, batch: Batch, write: WritePiece): number {
    const lines = input.lastIndexOf(NEWLINE) + 1;
    const rest = input.length - lines;
    const records = Math.ceil(rest / MAX_CONTENT_BYTES) - 1;
    const length = batch.end ? input.length : lines + Math.max(0, records) * MAX_CONTENT_BYTES;
    if (length > 0) write(input.subarray(0, length));
    return length;
  },
};
