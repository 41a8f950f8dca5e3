/**
 * The log of one process: its file, its streams, and when to work on them.
 *
 *   using log = ContainerLog.open({ path, format, directory, sources });
 *   log.watch();        // from Node's event loop, one batch whenever a stream has bytes
 *   log.drain();        // now: what was printed until this moment is in the log on return
 *   log.finish();       // and no more will come
 *
 * Where the log's or the journal's disk is full, the streams pause and the container waits at its
 * full pipe; once a second it is tried again. Nothing is dropped.
 */
import { join } from 'node:path';
import { localSyscalls, type Watch, watchDescriptor } from '@strata/namespaces';
import { importFormat1 } from './journal-format1.ts';
import { jsonFormat } from './json-format.ts';
import { LogFile } from './log-file.ts';
import type { LogFormatName, LogFormatter, StreamName } from './log-format.ts';
import { LogStream, type LogTap } from './log-stream.ts';
import { plainFormat } from './plain-format.ts';
import { criFormat } from './record-formatter.ts';
import { type RotationLimits, shiftFiles } from './rotation.ts';
import type { LogSource } from './stage.ts';

export const LOG_FORMATS: Record<LogFormatName, LogFormatter> = {
  cri: criFormat,
  json: jsonFormat,
  plain: plainFormat,
};

const RETRY_MS = 1000;
/** A drain's most batches per stream: what a pipe of 1 MB can hold in pieces of 64 kB, twice. */
const DRAIN_BATCHES = 32;
/** A log that is always within a line is rotated all the same when it is so many times too large. */
const PATIENCE_FACTOR = 2;

interface Channel {
  stream: LogStream;
  source: LogSource | undefined;
  watch: Watch | undefined;
}

export interface ContainerLogOptions {
  /** The log file. */
  path: string;
  format: LogFormatName;
  /** Default: no limit. */
  rotation?: RotationLimits | undefined;
  /** Where the journals are. */
  directory: string;
  /** Both streams, or of a terminal `stdout` alone. */
  streams: readonly StreamName[];
  /** None, where the keeper has gone: what the journals have is logged then. */
  sources: ReadonlyMap<StreamName, LogSource>;
  /** Gets what is logged as it comes, unfinished lines too. */
  tap?: LogTap;
  /** Hears why logging is paused. */
  onTrouble?: (error: unknown) => void;
}

export class ContainerLog implements Disposable {
  readonly path: string;
  readonly #channels: Channel[];
  readonly #rotation: RotationLimits | undefined;
  readonly #onTrouble: ((error: unknown) => void) | undefined;
  #file: LogFile;
  #retry: NodeJS.Timeout | undefined;
  #watching = false;

  private constructor(options: ContainerLogOptions) {
    const { path, directory, tap } = options;
    this.path = path;
    this.#rotation = options.rotation;
    this.#onTrouble = options.onTrouble;
    this.#file = LogFile.open(path);
    const format = LOG_FORMATS[options.format];
    this.#channels = options.streams.map((name) => {
      const source = options.sources.get(name);
      const journalPath = join(directory, `${name}.journal`);
      importFormat1(journalPath, name, this.#file);
      const stream = new LogStream({ name, journalPath, format, stage: source?.stage, tap });
      return { stream, source, watch: undefined };
    });
  }

  /** Opens the log, and brings to its end what a predecessor was killed in the middle of. */
  static open(options: ContainerLogOptions): ContainerLog {
    const log = new ContainerLog(options);
    log.#attempt(() => log.#recover());
    return log;
  }

  #recover(): void {
    for (const { stream } of this.#channels) stream.recover(this.#file);
  }

  /** Begins to work from the event loop. */
  watch(): void {
    this.#watching = true;
    for (const channel of this.#channels) this.#watchChannel(channel);
  }

  #watchChannel(channel: Channel): void {
    if (!this.#watching || channel.watch || !channel.source || this.#retry) return;
    channel.watch = watchDescriptor(channel.source.fd, { readable: true }, () => {
      this.#attempt(() => this.#pump(channel));
    });
  }

  /** One batch; whether there may be more. */
  #pump(channel: Channel): boolean {
    const { source, stream } = channel;
    if (!source) return false;
    const taken = stream.pump(source, this.#file);
    if (taken === 'end') this.#close(channel);
    if (this.#isFull()) this.#rotate();
    return typeof taken === 'number';
  }

  /** Logs what the streams hold now. */
  drain(): void {
    this.#attempt(() => {
      for (const channel of this.#channels) {
        for (let batch = 0; batch < DRAIN_BATCHES; batch++) if (!this.#pump(channel)) break;
      }
    });
  }

  /** Whether all streams have come to their end. */
  get ended(): boolean {
    return this.#channels.every(({ stream, source }) => stream.ended || !source);
  }

  /**
   * Logs what the streams hold, unfinished last lines too, and takes no more.
   * @returns false where the log cannot be written: nothing is closed then, and nothing lost
   */
  finish(): boolean {
    this.#endPause();
    this.drain();
    this.#attempt(() => {
      for (const { stream } of this.#channels) stream.finish(this.#file);
    });
    if (this.#retry) return false;
    for (const channel of this.#channels) this.#close(channel);
    return true;
  }

  /** Tries it again at once. */
  #endPause(): void {
    if (!this.#retry) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#attempt(() => this.#recover());
  }

  /** Goes on in a new file at the same path (the old one was renamed). */
  reopen(): void {
    this.#goOnIn(LogFile.open(this.path));
  }

  #goOnIn(next: LogFile): void {
    try {
      this.#recover();
    } catch (error) {
      next[Symbol.dispose]();
      throw error;
    }
    this.#file[Symbol.dispose]();
    this.#file = next;
  }

  /** Whether it is time for another file, which begins with the beginning of a line if it can. */
  #isFull(): boolean {
    if (!this.#rotation) return false;
    const { size } = this.#file;
    const { maxBytes } = this.#rotation;
    if (size < maxBytes) return false;
    const isWithinLine = this.#channels.some(({ stream }) => stream.isWithinLine);
    return !isWithinLine || size >= PATIENCE_FACTOR * maxBytes;
  }

  #rotate(): void {
    // There has to be a new file before the old ones make room for it.
    const next = LogFile.open(`${this.path}.new`);
    try {
      shiftFiles(this.path, this.#rotation!);
      next.rename(this.path);
    } catch (error) {
      next[Symbol.dispose]();
      throw error;
    }
    this.#goOnIn(next);
  }

  /** Runs `work`; where it fails, pauses all streams and tries again later. */
  #attempt(work: () => void): void {
    if (this.#retry) return;
    try {
      work();
    } catch (error) {
      this.#onTrouble?.(error);
      for (const channel of this.#channels) unwatch(channel);
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        this.#attempt(() => this.#recover());
        for (const channel of this.#channels) this.#watchChannel(channel);
      }, RETRY_MS);
    }
  }

  #close(channel: Channel): void {
    unwatch(channel);
    for (const fd of channel.source?.descriptors ?? []) localSyscalls().close(fd);
    channel.source = undefined;
  }

  /** Lets go of the streams as they are; a successor can take them over from the keeper. */
  [Symbol.dispose](): void {
    clearTimeout(this.#retry);
    for (const channel of this.#channels) {
      this.#close(channel);
      channel.stream[Symbol.dispose]();
    }
    this.#file[Symbol.dispose]();
  }
}

function unwatch(channel: Channel): void {
  channel.watch?.close();
  channel.watch = undefined;
}
