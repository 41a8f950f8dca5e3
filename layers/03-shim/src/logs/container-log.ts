/**
 * The log of one container: its file, its streams, and when to work on them.
 *
 *   using log = ContainerLog.open({ path, directory, sources });
 *   log.watch();        // from Node's event loop, one batch whenever a stream has bytes
 *   log.drain();        // now: what was printed until this moment is in the log on return
 *   log.finish();       // and no more will come
 *
 * Where the log's or the journal's disk is full, the streams pause and the container waits at its
 * full pipe; once a second it is tried again. Nothing is dropped.
 */
import { join } from 'node:path';
import { localSyscalls, type Watch, watchDescriptor } from '@strata/namespaces';
import type { StreamName } from './cri-record.ts';
import { LogFile } from './log-file.ts';
import type { OwnedSource } from './log-source.ts';
import { LogStream, type LogTap } from './log-stream.ts';

const RETRY_MS = 1000;
/** A drain's most batches per stream: what a pipe of 1 MB can hold in pieces of 64 kB, twice. */
const DRAIN_BATCHES = 32;

interface Channel {
  stream: LogStream;
  source: OwnedSource | undefined;
  watch: Watch | undefined;
}

export interface ContainerLogOptions {
  /** The log file. */
  path: string;
  /** Where the journals are. */
  directory: string;
  sources: ReadonlyMap<StreamName, OwnedSource>;
  /** Gets what is logged as it comes, unfinished lines too. */
  tap?: LogTap;
  /** Hears why logging is paused. */
  onTrouble?: (error: unknown) => void;
}

export class ContainerLog implements Disposable {
  readonly path: string;
  readonly #channels: Channel[];
  readonly #onTrouble: ((error: unknown) => void) | undefined;
  #file: LogFile;
  #retry: NodeJS.Timeout | undefined;
  #watching = false;

  private constructor(options: ContainerLogOptions) {
    this.path = options.path;
    this.#onTrouble = options.onTrouble;
    this.#file = LogFile.open(options.path);
    this.#channels = [...options.sources].map(([name, source]) => ({
      stream: new LogStream(name, journalPath(options.directory, name), options.tap),
      source,
      watch: undefined,
    }));
  }

  /** Opens the log, and brings to its end what a predecessor was killed in the middle of. */
  static open(options: ContainerLogOptions): ContainerLog {
    const log = new ContainerLog(options);
    log.#attempt(() => {
      for (const { stream } of log.#channels) stream.recover(log.#file);
    });
    return log;
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
    return this.#channels.every(({ stream }) => stream.ended);
  }

  /** Logs what the streams hold, unfinished last lines too, and takes no more. */
  finish(): void {
    this.drain();
    this.#attempt(() => {
      for (const { stream } of this.#channels) stream.finish(this.#file);
    });
    for (const channel of this.#channels) this.#close(channel);
  }

  /** Goes on in a new file at the same path (the old one was renamed). */
  reopen(): void {
    const next = LogFile.open(this.path);
    for (const { stream } of this.#channels) stream.redirect(this.#file, next);
    this.#file[Symbol.dispose]();
    this.#file = next;
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
        this.#attempt(() => {
          for (const { stream } of this.#channels) stream.recover(this.#file);
        });
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

export function journalPath(directory: string, name: StreamName): string {
  return join(directory, `${name}.journal`);
}
