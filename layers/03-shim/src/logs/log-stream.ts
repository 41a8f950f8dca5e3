/**
 * From a container's pipe to its log, losing nothing and doubling nothing, whenever the shim dies.
 *
 *     container ──write──▶ pipe ──splice──▶ journal ──format──▶ log file
 *                         (kernel)          (a file)            (a file)
 *
 * A batch, with the state that a SIGKILL leaves behind at each point:
 *
 *   1  pwrite   journal header := { start, log offset, log inode, time }
 *                 ╴╴╴ killed here: nothing was taken; the bytes wait in the pipe
 *   2  splice   pipe → journal, up to 64 kB, in one indivisible step
 *                 ╴╴╴ killed here: the bytes are in the journal, the log has its old size
 *   3  write    records(journal[start..], time) → log, appended
 *                 ╴╴╴ killed here: the log is longer than `log offset`, by a part or by all of it
 *   4  ftruncate the journal, where no unfinished line is left in it
 *
 * Takeover: what the interrupted batch wrote, or should have written, is a function of the journal
 * alone (the records carry the header's time), so it is computed again and compared by length:
 *
 *   log size − log offset  ≥ its length   written; nothing to do
 *                          < its length   the missing end is appended, in the middle of a record
 *                                         if need be
 *
 * The log ends up as if nothing had happened; not even a timestamp differs. The unfinished last
 * line of a stream stays in the journal until its newline comes, so memory holds no log bytes
 * between two batches, and lines that arrive in pieces are records in one piece.
 *
 * One process works on a container's streams, one batch at a time (the shim holds a lock).
 */
import { localSyscalls, Out } from '@strata/namespaces';
import { formatRecords, type StreamName } from './cri-record.ts';
import { Journal, type JournalHeader, type Taken } from './journal.ts';
import { LogFile } from './log-file.ts';
import { RecordBuffer } from './record-buffer.ts';

/** Gives bytes to a journal: a pipe, or a terminal. */
export interface LogSource {
  /** Moves what is there into the journal. */
  take(journal: Journal): Taken;
}

/** Hears what comes, before it is logged. */
export interface LogTap {
  isWanted(): boolean;
  /** @param bytes valid until the call returns */
  publish(stream: StreamName, bytes: Uint8Array): void;
}

/** Shared by all streams of the process: a batch is formatted and written in one go. */
const records = new RecordBuffer();

export class LogStream implements Disposable {
  readonly name: StreamName;
  readonly #journal: Journal;
  readonly #tap: LogTap | undefined;
  /** The batch that was under way when the process before us died, or when the disk was full. */
  #interrupted: JournalHeader | undefined;
  #ended = false;

  constructor(name: StreamName, journalPath: string, tap?: LogTap) {
    this.name = name;
    this.#tap = tap;
    const { journal, interrupted } = Journal.open(journalPath);
    this.#journal = journal;
    this.#interrupted = interrupted;
  }

  /** No byte will come any more, and all are in the log. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Finishes the batch that was interrupted, if there is one.
   * @throws where the log cannot be written; call it again then
   */
  recover(log: LogFile): void {
    const header = this.#interrupted;
    if (!header) return;
    using renamed = log.is(header.log) ? undefined : LogFile.find(log.path, header.log);
    const target = renamed ?? log;
    const input = this.#journal.pending();
    records.clear();
    const consumed = formatRecords(input, this.#batch(header), records);
    const wanted = records.contents;
    const present = this.#alreadyWritten(target, header, wanted.length);
    if (present < wanted.length) target.append(wanted.subarray(present));
    this.#journal.logged(consumed);
    this.#interrupted = undefined;
    this.#ended = header.end;
  }

  /** How many bytes of the batch's records the log has. */
  #alreadyWritten(target: LogFile, header: JournalHeader, length: number): number {
    // Its file is gone (rotated, compressed, removed): what is pending goes to the new one.
    if (!target.is(header.log)) return 0;
    const grown = target.size - header.logOffset;
    // Less than nothing: someone truncated the log. A record twice is better than never.
    return grown < 0 ? 0 : Math.min(grown, length);
  }

  /**
   * One batch: takes what the source holds (64 kB at most) and logs it.
   * @throws where the journal or the log cannot be written; `recover` goes on from there
   */
  pump(source: LogSource, log: LogFile): Taken {
    this.recover(log);
    if (this.#ended) return 'end';
    const header = this.#begin(log, false);
    const taken = source.take(this.#journal);
    if (taken === 'end') this.finish(log);
    else if (taken !== 'empty') {
      if (this.#tap?.isWanted()) {
        this.#tap.publish(this.name, this.#journal.pending().subarray(-taken));
      }
      this.#log(header, log);
    }
    return taken;
  }

  /** Ends the stream: an unfinished last line is logged as it is. */
  finish(log: LogFile): void {
    this.recover(log);
    if (this.#ended) return;
    if (!this.#journal.isEmpty) this.#log(this.#begin(log, true), log);
    this.#ended = true;
  }

  /** Says in the journal that batches go to another log from now on (it was rotated). */
  redirect(from: LogFile, to: LogFile): void {
    this.recover(from);
    if (!this.#ended) this.#begin(to, false);
  }

  #begin(log: LogFile, end: boolean): JournalHeader {
    return this.#journal.begin({
      end,
      logOffset: log.size,
      log: log.identity,
      timestampNs: realtimeNs(),
    });
  }

  #log(header: JournalHeader, log: LogFile): void {
    // Should the write fail half-way, the batch counts as interrupted, as after a kill.
    this.#interrupted = header;
    const input = this.#journal.pending();
    records.clear();
    const consumed = formatRecords(input, this.#batch(header), records);
    if (records.contents.length > 0) log.append(records.contents);
    this.#journal.logged(consumed);
    this.#interrupted = undefined;
  }

  #batch(header: JournalHeader) {
    return { stream: this.name, timestampNs: header.timestampNs, end: header.end };
  }

  [Symbol.dispose](): void {
    this.#journal[Symbol.dispose]();
  }
}

const timespec = new Uint8Array(16);
const timespecView = new DataView(timespec.buffer);
const CLOCK_REALTIME = 0;

/** Now, in nanoseconds of the Unix epoch. */
export function realtimeNs(): bigint {
  localSyscalls().call('clock_gettime', CLOCK_REALTIME, new Out(timespec));
  return timespecView.getBigInt64(0, true) * 1_000_000_000n + timespecView.getBigInt64(8, true);
}
