/**
 * The CRI log format: one record per line, as kubelet and crictl read it.
 *
 *   2026-11-23T22:10:00.123456789Z stdout F a whole line\n
 *   2026-11-23T22:10:00.123456789Z stderr P the first 16384 bytes of a longer line ...\n
 *   2026-11-23T22:10:00.123456789Z stderr F ... and its rest\n
 *
 *   F (full)     the content, then a newline
 *   P (partial)  the content alone; the stream's next record continues the line
 *
 * So joining a stream's records gives back its bytes exactly. A last line without a newline is a P
 * that nothing follows, as containerd writes it: with an F, a reader would see a newline that was
 * never printed (CRI-O's conmon does that). Bytes are not interpreted: binary stays binary, and
 * `\r\n` stays `\r\n`.
 *
 * Where a line is cut depends on its content only, never on how it arrived: 16384 bytes to a
 * record, the default of containerd and CRI-O.
 *
 * @see https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
 */
import { StrataError } from '@strata/namespaces';
import type { RecordBuffer } from './record-buffer.ts';

export type StreamName = 'stdout' | 'stderr';

/** Content bytes of a record; a longer line is cut. */
export const MAX_CONTENT_BYTES = 16384;
const NEWLINE = 10;
const SPACE = 32;

export interface Batch {
  stream: StreamName;
  /** Nanoseconds of the Unix epoch; one time for all records of a batch. */
  timestampNs: bigint;
  /** No byte will follow: an unfinished last line is written too. */
  end: boolean;
}

/**
 * Appends the records that `input` makes to `out`.
 *
 * @returns how many bytes of input became records. The rest, at most 16384 bytes, is the beginning
 *   of a line and must be given again with what follows it.
 */
export function formatRecords(input: Uint8Array, batch: Batch, out: RecordBuffer): number {
  const time = formatTimestamp(batch.timestampNs);
  const full = Buffer.from(`${time} ${batch.stream} F `);
  const partial = Buffer.from(`${time} ${batch.stream} P `);
  let at = 0;
  while (at < input.length) {
    const newline = input.indexOf(NEWLINE, at);
    const stop = newline === -1 ? input.length : newline;
    for (; stop - at > MAX_CONTENT_BYTES; at += MAX_CONTENT_BYTES) {
      out.appendRecord(partial, input, at, at + MAX_CONTENT_BYTES);
    }
    if (newline === -1) break;
    out.appendRecord(full, input, at, newline);
    at = newline + 1;
  }
  if (batch.end && at < input.length) {
    out.appendRecord(partial, input, at, input.length);
    at = input.length;
  }
  return at;
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

export interface CriRecord {
  /** As it stands in the log: RFC 3339 with up to nine digits of a second. */
  timestamp: string;
  stream: StreamName;
  /** The line goes on in the stream's next record. */
  partial: boolean;
  content: Uint8Array;
}

/**
 * Reads the record that begins at `start`.
 * @returns the record and where the next one begins; undefined where the newline is not there yet
 * @throws {StrataError} INVALID_LOG for a line that is not a record
 */
export function parseRecord(
  log: Uint8Array,
  start: number,
): { record: CriRecord; next: number } | undefined {
  const newline = log.indexOf(NEWLINE, start);
  if (newline === -1) return undefined;
  const afterTime = log.indexOf(SPACE, start);
  const afterStream = afterTime === -1 ? -1 : log.indexOf(SPACE, afterTime + 1);
  const afterTag = afterStream === -1 ? -1 : log.indexOf(SPACE, afterStream + 1);
  const text = (from: number, to: number): string =>
    Buffer.from(log.buffer, log.byteOffset + from, to - from).toString('latin1');
  if (afterTag === -1 || afterTag > newline) throw invalidRecord(text(start, newline));
  const stream = text(afterTime + 1, afterStream);
  // Further tags may follow the first one after a colon.
  const tag = text(afterStream + 1, afterTag).split(':')[0];
  if ((stream !== 'stdout' && stream !== 'stderr') || (tag !== 'P' && tag !== 'F')) {
    throw invalidRecord(text(start, newline));
  }
  const content = log.subarray(afterTag + 1, newline);
  const record = { timestamp: text(start, afterTime), stream, partial: tag === 'P', content };
  return { record: record as CriRecord, next: newline + 1 };
}

function invalidRecord(line: string): StrataError {
  return new StrataError('INVALID_LOG', `not a CRI log record: ${line.slice(0, 80)}`, {
    hint: "a record is 'TIME stdout|stderr P|F CONTENT'",
  });
}

/** What a stream printed, byte by byte, from the records of a log. */
export function streamContent(log: Uint8Array, stream: StreamName): Buffer {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (let found = parseRecord(log, at); found; found = parseRecord(log, at)) {
    at = found.next;
    if (found.record.stream !== stream) continue;
    parts.push(found.record.content);
    if (!found.record.partial) parts.push(Uint8Array.of(NEWLINE));
  }
  return Buffer.concat(parts);
}
