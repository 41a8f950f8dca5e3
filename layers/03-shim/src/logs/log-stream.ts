/**
 * From a container's pipe to its log, losing nothing and doubling nothing, whenever the shim dies.
 *
 *     container ──write──▶ pipe ──splice──▶ stage ──look, format──▶ log file
 *                        (kernel)          (kernel)                 (a file)
 *
 * A batch, with the state that a SIGKILL leaves behind at each point:
 *
 *   1  pwrite   journal := open, { log offset, log inode, time }
 *                 ╴╴╴ killed here: nothing was taken; the bytes wait in the pipe
 *   2  splice   pipe → stage, up to 64 kB, in one indivisible step
 *                 ╴╴╴ killed here: the bytes are on the stage, the log has its old size
 *   3  write    records(unfinished line + stage, time) → log, appended
 *                 ╴╴╴ killed here: the log is longer than `log offset`, by a part or by all of it
 *   4  pwrite   journal := { the line that is unfinished now }, not open
 *                 ╴╴╴ killed here: what is on the stage is in the log or in the journal
 *   5  splice   stage → /dev/null
 *
 * Takeover: what the interrupted batch wrote, or should have written, is a function of journal and
 * stage alone (the records carry the journal's time), so it is computed again and compared by length:
 *
 *   log size − log offset  ≥ its length   written; nothing to do
 *                          < its length   the missing end is appended, in the middle of a record
 *                                         if need be
 *
 * The log ends up as if nothing had happened; not even a timestamp differs. Between two batches all
 * there is of a stream is its unfinished line, 16 kB at most, so lines that arrive in pieces are
 * records in one piece.
 *
 * One process works on a container's streams, one batch at a time (the shim holds a lock).
 */
import { realtimeNs } from '@strata/namespaces';
import { Journal, type OpenBatch } from './journal.ts';
import { LogFile } from './log-file.ts';
import type { LogFormatter, StreamName } from './log-format.ts';
import { logInput } from './record-formatter.ts';
import type { LogSource, Stage, Taken } from './stage.ts';

const NEWLINE = 10;

/** Hears what comes, before it is logged. */
export interface LogTap {
  isWanted(): boolean;
  /** @param bytes valid until the call returns */
  publish(stream: StreamName, bytes: Uint8Array): void;
}

export interface LogStreamOptions {
  name: StreamName;
  journalPath: string;
  format: LogFormatter;
  /** Where bytes wait; undefined where the keeper has gone, and they with it. */
  stage: Stage | undefined;
  tap?: LogTap | undefined;
}

export class LogStream implements Disposable {
  readonly name: StreamName;
  readonly #journal: Journal;
  readonly #options: LogStreamOptions;
  /** What is on the stage, if anything, is in the log already. */
  #isStale: boolean;
  /** The batch that is under way has taken nothing. */
  #isIdle = false;

  constructor(options: LogStreamOptions) {
    this.name = options.name;
    this.#options = options;
    this.#journal = new Journal(options.journalPath);
    this.#isStale = this.#journal.open === undefined;
  }

  /** No byte will come any more, and all are in the log. */
  get ended(): boolean {
    return this.#journal.hasEnded;
  }

  /** The log's last record is not the end of its line. */
  get isWithinLine(): boolean {
    return this.#journal.isWithinLine;
  }

  /**
   * Finishes the batch that was interrupted, if there is one.
   * @throws where the log or the journal cannot be written; call it again then
   */
  recover(log: LogFile): void {
    const batch = this.#journal.open;
    if (batch && !this.#isIdle) {
      using renamed = log.is(batch.log) ? undefined : LogFile.find(log.path, batch.log);
      const target = renamed ?? log;
      this.#log(target, this.#look(), { batch, present: alreadyWritten(target, batch) });
    }
    this.#clearStage();
  }

  #clearStage(): void {
    if (!this.#isStale) return;
    this.#options.stage?.clear();
    this.#isStale = false;
  }

  /**
   * One batch: takes what the source holds (64 kB at most) and logs it.
   * @throws where the journal or the log cannot be written; `recover` goes on from there
   */
  pump(source: LogSource, log: LogFile): Taken {
    this.recover(log);
    if (this.ended) return 'end';
    const batch = this.#begin(log, false);
    const taken = source.take();
    this.#isIdle = taken === 'empty';
    if (taken === 'end') this.#logRest(log);
    else if (taken !== 'empty') {
      const input = this.#look();
      const { tap } = this.#options;
      if (tap?.isWanted()) tap.publish(this.name, input.subarray(this.#journal.line.length));
      this.#log(log, input, { batch, present: 0 });
      this.#clearStage();
    }
    return taken;
  }

  /** Ends the stream: an unfinished last line is logged as it is. */
  finish(log: LogFile): void {
    this.recover(log);
    if (!this.ended) this.#logRest(log);
  }

  #logRest(log: LogFile): void {
    const batch = this.#begin(log, true);
    this.#log(log, this.#look(), { batch, present: 0 });
    // From here on the stage may be closed.
    this.#clearStage();
  }

  #begin(log: LogFile, end: boolean): OpenBatch {
    const batch = { end, logOffset: log.size, log: log.identity, timestampNs: realtimeNs() };
    this.#journal.begin(batch);
    this.#isIdle = false;
    return batch;
  }

  /** The unfinished line and what is on the stage, in the common input buffer. */
  #look(): Uint8Array {
    const { line } = this.#journal;
    logInput.set(line);
    return logInput.subarray(0, line.length + (this.#options.stage?.peek(line.length) ?? 0));
  }

  /** @param options.present how many bytes of the records the log has already */
  #log(log: LogFile, input: Uint8Array, options: { batch: OpenBatch; present: number }): void {
    const { batch } = options;
    let skip = options.present;
    const { format } = this.#options;
    const consumed = format.format(input, { ...batch, stream: this.name }, (piece) => {
      if (skip < piece.length) log.append(piece.subarray(skip));
      skip = Math.max(0, skip - piece.length);
    });
    this.#journal.commit({
      line: input.subarray(consumed),
      isWithinLine: consumed > 0 ? input[consumed - 1] !== NEWLINE : this.isWithinLine,
      hasEnded: batch.end,
    });
    this.#isStale = true;
  }

  [Symbol.dispose](): void {
    this.#journal[Symbol.dispose]();
  }
}

/** How many bytes the log has grown by since the batch began. */
function alreadyWritten(target: LogFile, batch: OpenBatch): number {
  // Its file is gone (rotated, compressed, removed): what is pending goes to the new one. And where it
  // has shrunk, someone has truncated it. A record twice is better than never.
  return target.is(batch.log) ? Math.max(0, target.size - batch.logOffset) : 0;
}
