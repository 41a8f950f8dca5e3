/**
 * The journal of one stream: where its bytes are between the pipe and the log.
 *
 *   offset 0     magic 'SLJ1'  u32
 *          4     flags         u32   1: no byte follows (end of the stream)
 *          8     start         u64   offset of the first byte that is not yet in the log
 *          16    log offset    u64   size of the log when its records were about to be written
 *          24    log device    u64   ┐ which file the log offset is of
 *          32    log inode     u64   ┘
 *          40    timestamp     i64   the time that those records carry, ns of the epoch
 *          4096  the stream's bytes, as splice(2) put them there
 *
 * Two properties of the kernel carry the whole protocol (see log-stream.ts):
 *   - splice(2) from a pipe to a file takes from the pipe exactly the bytes that it wrote into the
 *     file. Both happen inside one system call, and SIGKILL acts on a process at its way out of a
 *     system call: there is no moment in which bytes are in neither place, or in both. The file's
 *     size is the durable count.
 *   - pwrite(2) of 64 bytes within one page is atomic in the same sense.
 *
 * A read(2) into memory could never have that: the process can be killed between it and the write.
 *
 * The journal survives the shim, not the machine; put it on a tmpfs (/run), as the default does.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { EAGAIN, localSyscalls, StrataError } from '@strata/namespaces';
import { MAX_CONTENT_BYTES } from './cri-record.ts';
import type { FileIdentity } from './log-file.ts';

const MAGIC = 0x314a4c53;
const HEADER_BYTES = 64;
const DATA_AT = 4096;
const FLAG_END = 1;
/** Taken from the pipe at once: what a pipe holds by default. */
export const TAKE_BYTES = 64 << 10;
/** Logged bytes before `start` are given back to the file system once there are this many. */
const PUNCH_BYTES = 256 << 10;
const SPLICE_F_NONBLOCK = 2;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/** Read by everyone in turn; nobody keeps what is in it. A tail and a take fit. */
const scratch = Buffer.allocUnsafeSlow(MAX_CONTENT_BYTES + TAKE_BYTES);
const headerBytes = Buffer.alloc(HEADER_BYTES);
const offsetArgument = new Uint8Array(8);
const offsetView = new DataView(offsetArgument.buffer);

export interface JournalHeader {
  end: boolean;
  start: number;
  logOffset: number;
  log: FileIdentity;
  timestampNs: bigint;
}

export type Taken = number | 'empty' | 'end';

export class Journal implements Disposable {
  readonly path: string;
  readonly #fd: number;
  #start = DATA_AT;
  #size = DATA_AT;
  #punched = DATA_AT;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /**
   * Opens or creates a journal.
   * @returns it, and the header of its last batch where it has bytes that may not be in the log
   */
  static open(path: string): { journal: Journal; interrupted?: JournalHeader } {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const journal = new Journal(path, fd);
    const { size } = fstatSync(fd);
    if (size <= DATA_AT) return { journal };
    const header = journal.#readHeader();
    journal.#size = size;
    journal.#start = Math.min(header.start, size);
    return header.start < size ? { journal, interrupted: header } : { journal };
  }

  #readHeader(): JournalHeader {
    readSync(this.#fd, headerBytes, 0, HEADER_BYTES, 0);
    if (headerBytes.readUInt32LE(0) !== MAGIC) {
      throw new StrataError('INVALID_JOURNAL', `not a log journal: ${this.path}`, {
        path: this.path,
      });
    }
    return {
      end: (headerBytes.readUInt32LE(4) & FLAG_END) !== 0,
      start: Number(headerBytes.readBigUInt64LE(8)),
      logOffset: Number(headerBytes.readBigUInt64LE(16)),
      log: {
        device: Number(headerBytes.readBigUInt64LE(24)),
        inode: Number(headerBytes.readBigUInt64LE(32)),
      },
      timestampNs: headerBytes.readBigInt64LE(40),
    };
  }

  /** Writes the header of the batch that begins now, before its bytes are taken. */
  begin(batch: Omit<JournalHeader, 'start'>): JournalHeader {
    headerBytes.writeUInt32LE(MAGIC, 0);
    headerBytes.writeUInt32LE(batch.end ? FLAG_END : 0, 4);
    headerBytes.writeBigUInt64LE(BigInt(this.#start), 8);
    headerBytes.writeBigUInt64LE(BigInt(batch.logOffset), 16);
    headerBytes.writeBigUInt64LE(BigInt(batch.log.device), 24);
    headerBytes.writeBigUInt64LE(BigInt(batch.log.inode), 32);
    headerBytes.writeBigInt64LE(batch.timestampNs, 40);
    writeSync(this.#fd, headerBytes, 0, HEADER_BYTES, 0);
    return { start: this.#start, ...batch };
  }

  /**
   * Moves what the pipe holds (64 kB at most) to the end of the journal.
   * @throws {SyscallError} ENOSPC where the journal's file system is full; nothing is lost then
   */
  take(pipe: number): Taken {
    offsetView.setBigUint64(0, BigInt(this.#size), true);
    const sys = localSyscalls();
    const args = [pipe, null, this.#fd, offsetArgument, TAKE_BYTES, SPLICE_F_NONBLOCK];
    const count = sys.attempt('splice', ...args);
    if (count === -EAGAIN) return 'empty';
    if (count < 0) throw sys.failure('splice', -count, args);
    this.#size += count;
    return count === 0 ? 'end' : count;
  }

  /** The bytes that are not in the log yet; valid until the next call on any journal. */
  pending(): Buffer {
    const length = this.#size - this.#start;
    const bytes = length <= scratch.length ? scratch.subarray(0, length) : Buffer.alloc(length);
    let at = 0;
    while (at < length) {
      const count = readSync(this.#fd, bytes, at, length - at, this.#start + at);
      if (count === 0) throw new StrataError('INVALID_JOURNAL', `${this.path} shrank`);
      at += count;
    }
    return bytes;
  }

  /** Whether there are bytes that are not in the log. */
  get isEmpty(): boolean {
    return this.#start === this.#size;
  }

  /** The first `count` pending bytes are in the log now. */
  logged(count: number): void {
    this.#start += count;
    if (this.isEmpty) {
      // From here to the next `begin`, the header's start lies at or after the end: nothing pending.
      if (this.#size > DATA_AT) ftruncateSync(this.#fd, DATA_AT);
      this.#start = DATA_AT;
      this.#size = DATA_AT;
      this.#punched = DATA_AT;
    } else if (this.#start - this.#punched >= PUNCH_BYTES) {
      this.#punch();
    }
  }

  /**
   * Frees the pages of what is logged, but for the last batch: until the next `begin`, the header
   * still points to it, and a takeover compares its records with the log.
   */
  #punch(): void {
    const from = this.#punched;
    const length = this.#start - from - TAKE_BYTES - MAX_CONTENT_BYTES;
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    localSyscalls().call('fallocate', this.#fd, mode, from, length);
    this.#punched = from + length;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
