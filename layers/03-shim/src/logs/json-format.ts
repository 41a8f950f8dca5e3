/**
 * Docker's json-file format: one object per line.
 *
 *   {"log":"a whole line\n","stream":"stdout","time":"2026-11-23T22:10:00.123456789Z"}
 *   {"log":"the first 16384 bytes of a longer line, without a newline","stream":"stdout","time":...}
 *
 * JSON is text: bytes that are not UTF-8 become U+FFFD, as with Docker. A long line is cut between
 * characters, never within one, so text comes out as it went in.
 *
 * @see https://docs.docker.com/engine/logging/drivers/json-file/
 */
import {
  type Batch,
  formatTimestamp,
  type LogFormatter,
  MAX_CONTENT_BYTES,
  type WritePiece,
} from './log-format.ts';

const NEWLINE = 10;
/** Records are written when so much of them has come together. */
const PIECE_CHARACTERS = 64 << 10;

export const jsonFormat: LogFormatter = {
  format(input: Uint8Array, batch: Batch, write: WritePiece): number {
    const text = Buffer.from(input.buffer, input.byteOffset, input.length);
    const tail = `,"stream":"${batch.stream}","time":"${formatTimestamp(batch.timestampNs)}"}\n`;
    let records = '';
    let at = 0;
    while (at < text.length) {
      const length = recordLength(text, at, batch.end);
      if (length === 0) break;
      records += `{"log":${JSON.stringify(text.toString('utf8', at, at + length))}${tail}`;
      at += length;
      if (records.length < PIECE_CHARACTERS) continue;
      write(Buffer.from(records));
      records = '';
    }
    if (records !== '') write(Buffer.from(records));
    return at;
  },
};

/** Bytes of the record that begins at `at`, its newline included; 0 where it is not complete. */
function recordLength(text: Buffer, at: number, isLast: boolean): number {
  const newline = text.indexOf(NEWLINE, at);
  if (newline !== -1 && newline - at <= MAX_CONTENT_BYTES) return newline + 1 - at;
  if (text.length - at > MAX_CONTENT_BYTES) return wholeCharacters(text, at);
  return isLast ? text.length - at : 0;
}

/** As many bytes from `at` on as fit without cutting a character in two. */
function wholeCharacters(text: Buffer, at: number): number {
  for (let length = MAX_CONTENT_BYTES; length > MAX_CONTENT_BYTES - 4; length--) {
    // Bytes after a character's first one are 10xxxxxx.
    if ((text[at + length]! & 0xc0) !== 0x80) return length;
  }
  return MAX_CONTENT_BYTES;
}
