/**
 * ttrpc frames: gRPC's calls without HTTP/2, for two processes on one machine.
 *
 *   ┌──────────────┬──────────────┬────────┬─────────┬────────────┐
 *   │ length u32be │ stream u32be │ type u8│ flags u8│ data       │
 *   └──────────────┴──────────────┴────────┴─────────┴────────────┘
 *
 *   type 1 request    stream ids of clients are odd and grow
 *        2 response   ends the stream
 *        3 data       of a stream; flag 1: the last one, flag 4: carries no data
 *
 * Data is 4 MB at most. A longer frame is skipped without being stored, and reported, so that its
 * call can be answered; a length of 16 MB or more means that this is not ttrpc, and ends the
 * connection.
 *
 * @see https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
 */
import { StrataError } from '@strata/namespaces';

export const TYPE_REQUEST = 1;
export const TYPE_RESPONSE = 2;
export const TYPE_DATA = 3;
/** No more data will come from the sender of this frame. */
export const FLAG_REMOTE_CLOSED = 1;
/** The sender of this request will send data. */
export const FLAG_REMOTE_OPEN = 2;
export const FLAG_NO_DATA = 4;
export const HEADER_BYTES = 10;
export const MAX_DATA_BYTES = 4 << 20;
const RESERVED_BYTES = 16 << 20;

export interface Frame {
  streamId: number;
  type: number;
  flags: number;
  data: Buffer;
  /** Its length, where it was too long to be kept; `data` is empty then. */
  oversized?: number;
}

/** @throws {StrataError} MESSAGE_TOO_LARGE */
export function encodeFrame(frame: {
  streamId: number;
  type: number;
  flags?: number;
  data: Uint8Array;
}): Buffer {
  const { data } = frame;
  if (data.length > MAX_DATA_BYTES) {
    throw new StrataError('MESSAGE_TOO_LARGE', `message of ${data.length} bytes; 4 MB is the most`);
  }
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.writeUInt32BE(frame.streamId, 4);
  bytes.writeUInt8(frame.type, 8);
  bytes.writeUInt8(frame.flags ?? 0, 9);
  bytes.set(data, HEADER_BYTES);
  return bytes;
}

/** Cuts a byte stream into frames; holds one incomplete frame at most. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #buffered = 0;
  #skipping = 0;

  /**
   * Takes bytes as they arrive and yields the frames that are complete.
   * @throws {StrataError} PROTOCOL_ERROR; the connection is of no use then
   */
  *push(chunk: Buffer): Generator<Frame> {
    this.#add(chunk);
    for (;;) {
      if (this.#buffered < HEADER_BYTES) return;
      const header = this.#peek(HEADER_BYTES);
      const length = header.readUInt32BE(0);
      if (length >= RESERVED_BYTES) {
        throw new StrataError('PROTOCOL_ERROR', `frame of ${length} bytes: this is not ttrpc`);
      }
      const frame = {
        streamId: header.readUInt32BE(4),
        type: header.readUInt8(8),
        flags: header.readUInt8(9),
      };
      if (length > MAX_DATA_BYTES) {
        this.#take(HEADER_BYTES);
        this.#skipping = length;
        this.#skip();
        yield { ...frame, data: Buffer.alloc(0), oversized: length };
        continue;
      }
      if (this.#buffered < HEADER_BYTES + length) return;
      const bytes = this.#take(HEADER_BYTES + length);
      yield { ...frame, data: bytes.subarray(HEADER_BYTES) };
    }
  }

  #add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    this.#skip();
  }

  #skip(): void {
    if (this.#skipping === 0) return;
    const count = Math.min(this.#skipping, this.#buffered);
    this.#skipping -= count;
    this.#take(count);
  }

  #peek(count: number): Buffer {
    const first = this.#chunks[0]!;
    if (first.length >= count) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  #take(count: number): Buffer {
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const taken = all.subarray(0, count);
    const rest = all.subarray(count);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#buffered = rest.length;
    return taken;
  }
}
