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
 * Here they are read; record-formatter.ts writes them.
 *
 * @see https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
 */
import { StrataError } from '@strata/namespaces';
import type { StreamName } from './log-format.ts';

const NEWLINE = 10;
const SPACE = 32;

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
