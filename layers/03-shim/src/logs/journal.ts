/**
 * The journal of one stream: how far its log has come, and the line that is not finished yet.
 *
 *   offset 0     magic 'SLJ2'  u32
 *          4     state         u32   ┌ bit 0: a batch is under way; bit 1: which of the two places
 *                                    │ has the unfinished line; bit 2: the stream has ended; bit 3:
 *                                    └ the log ends within a line; from bit 8 on: the line's length
 *          8     end           u32   1: no byte follows the batch under way (end of the stream)
 *          16    log offset    u64   size of the log when the batch began
 *          24    log device    u64   ┐ which file that is of
 *          32    log inode     u64   ┘
 *          40    timestamp     i64   the time that its records carry, ns of the epoch
 *          128   two places of 1984 bytes for an unfinished line
 *          4096  two places of 16 kB for one that is longer
 *
 * SIGKILL acts on a process at its way out of a system call, so a pwrite(2) of these 64 bytes has
 * happened or has not. A line is written to the place that is not in use, and then the state that
 * says so.
 *
 * The journal survives the shim, not the machine; put it on a tmpfs (/run), as the default does.
 */
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { StrataError } from '@strata/namespaces';
import type { FileIdentity } from './log-file.ts';
import { MAX_CONTENT_BYTES } from './log-format.ts';

const MAGIC = 0x324a4c53;
const HEADER_BYTES = 64;
const SMALL_AT = 128;
const SMALL_BYTES = 1984;
const LARGE_AT = 4096;

const STATE_OPEN = 1;
const STATE_SECOND_PLACE = 2;
const STATE_ENDED = 4;
const STATE_WITHIN_LINE = 8;
const LENGTH_SHIFT = 8;

export interface OpenBatch {
  end: boolean;
  logOffset: number;
  log: FileIdentity;
  timestampNs: bigint;
}

const header = Buffer.alloc(HEADER_BYTES);

export class Journal implements Disposable {
  readonly path: string;
  readonly #fd: number;
  #line: Buffer = Buffer.alloc(0);
  #inSecondPlace = false;
  #isWithinLine = false;
  #hasEnded = false;
  #open: OpenBatch | undefined;

  /** Opens or creates a journal. @throws {StrataError} INVALID_JOURNAL */
  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if (fstatSync(this.#fd).size >= HEADER_BYTES) this.#read();
      // Its first page is there from now on.
      else this.#write(0);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  #read(): void {
    readSync(this.#fd, header, 0, HEADER_BYTES, 0);
    if (header.readUInt32LE(0) !== MAGIC) {
      throw new StrataError('INVALID_JOURNAL', `not a log journal: ${this.path}`, {
        path: this.path,
      });
    }
    const state = header.readUInt32LE(4);
    this.#inSecondPlace = (state & STATE_SECOND_PLACE) !== 0;
    this.#hasEnded = (state & STATE_ENDED) !== 0;
    this.#isWithinLine = (state & STATE_WITHIN_LINE) !== 0;
    if ((state & STATE_OPEN) !== 0) {
      this.#open = {
        end: header.readUInt32LE(8) === 1,
        logOffset: Number(header.readBigUInt64LE(16)),
        log: {
          device: Number(header.readBigUInt64LE(24)),
          inode: Number(header.readBigUInt64LE(32)),
        },
        timestampNs: header.readBigInt64LE(40),
      };
    }
    this.#line = Buffer.alloc(state >>> LENGTH_SHIFT);
    readSync(this.#fd, this.#line, 0, this.#line.length, this.#placeOfLine());
  }

  /** The batch that is under way: begun, and not committed. */
  get open(): OpenBatch | undefined {
    return this.#open;
  }

  /** The beginning of a line that is not in the log yet. */
  get line(): Buffer {
    return this.#line;
  }

  /** All of the stream is in the log. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The log's last record of this stream is the beginning of a line. */
  get isWithinLine(): boolean {
    return this.#isWithinLine;
  }

  /** Says that a batch begins, before its bytes are taken. */
  begin(batch: OpenBatch): void {
    header.writeUInt32LE(batch.end ? 1 : 0, 8);
    header.writeBigUInt64LE(BigInt(batch.logOffset), 16);
    header.writeBigUInt64LE(BigInt(batch.log.device), 24);
    header.writeBigUInt64LE(BigInt(batch.log.inode), 32);
    header.writeBigInt64LE(batch.timestampNs, 40);
    this.#write(STATE_OPEN);
    this.#open = batch;
  }

  /** Says that the batch is in the log, but for an unfinished line. */
  commit(result: { line: Uint8Array; isWithinLine: boolean; hasEnded: boolean }): void {
    const { line, isWithinLine, hasEnded } = result;
    const before = { line: this.#line, inSecondPlace: this.#inSecondPlace };
    // Its own copy: what it was given is a piece of a buffer that all streams share.
    this.#line = Buffer.from(line);
    try {
      if (line.length > 0) {
        this.#inSecondPlace = !this.#inSecondPlace;
        writeSync(this.#fd, this.#line, 0, line.length, this.#placeOfLine());
      }
      this.#isWithinLine = isWithinLine;
      this.#hasEnded = hasEnded;
      this.#write(0);
      this.#open = undefined;
    } catch (error) {
      // On a full disk: the batch stays open, with the line that it began with.
      this.#line = before.line;
      this.#inSecondPlace = before.inSecondPlace;
      this.#hasEnded = false;
      throw error;
    }
  }

  #placeOfLine(): number {
    const place = this.#inSecondPlace ? 1 : 0;
    const isSmall = this.#line.length <= SMALL_BYTES;
    return isSmall ? SMALL_AT + place * SMALL_BYTES : LARGE_AT + place * MAX_CONTENT_BYTES;
  }

  #write(open: number): void {
    const state =
      open |
      (this.#inSecondPlace ? STATE_SECOND_PLACE : 0) |
      (this.#hasEnded ? STATE_ENDED : 0) |
      (this.#isWithinLine ? STATE_WITHIN_LINE : 0) |
      (this.#line.length << LENGTH_SHIFT);
    header.writeUInt32LE(MAGIC, 0);
    header.writeUInt32LE(state, 4);
    writeSync(this.#fd, header, 0, HEADER_BYTES, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
