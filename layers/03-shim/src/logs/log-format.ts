/**
 * What all log formats have in common.
 *
 * A format is a function: the same input, stream and time make the same records, whoever computes
 * them. That is what lets a successor complete a log that its predecessor was killed in the middle of
 * writing (see log-stream.ts). And where a line is cut depends on its content only, never on how it
 * arrived.
 */
export type StreamName = 'stdout' | 'stderr';
export type LogFormatName = 'cri' | 'json' | 'plain';

/** Content bytes of a record; a longer line is cut. The default of containerd, CRI-O and Docker. */
export const MAX_CONTENT_BYTES = 16384;

export interface Batch {
  stream: StreamName;
  /** Nanoseconds of the Unix epoch; one time for all records of a batch. */
  timestampNs: bigint;
  /** No byte will follow: an unfinished last line is written too. */
  end: boolean;
}

/** Takes records, a piece at a time; a piece is valid until the call returns. */
export type WritePiece = (records: Uint8Array) => void;

export interface LogFormatter {
  /**
   * Writes the records that `input` makes.
   *
   * @returns how many bytes of input became records. The rest, at most 16384 bytes, is the beginning
   *   of a line and must be given again with what follows it.
   */
  format(input: Uint8Array, batch: Batch, write: WritePiece): number;
}

let cachedSecond = -1n;
let cachedText = '';

/** RFC 3339 in UTC with nine digits of a second (Go's RFC3339Nano reads any number of them). */
export function formatTimestamp(ns: bigint): string {
  const second = ns / 1_000_000_000n;
  if (second !== cachedSecond) {
    cachedText = new Date(Number(second) * 1000).toISOString().slice(0, 19);
    cachedSecond = second;
  }
  return `${cachedText}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`;
}
