/**
 * A process that a keeper keeps, a container's init or an exec: its streams and its end.
 *
 * The exit is settled in a fixed order: what was printed goes to the log, the OOM flag is read while
 * the cgroup is there, both are made durable, and only then is anybody told.
 *
 * How the end is noticed:
 *   - the keeper writes the exit record, and inotify tells (exit-watch.ts); or
 *   - the process's own descriptor says that it has ended, and no record comes: the keeper was
 *     killed, or could not write. A copy is in the keeper's memory; without that, 255 is all there is.
 */
import {
  ESRCH,
  localSyscalls,
  realtimeNs,
  StrataError,
  setWindowSize,
  type WindowSize,
  watchDescriptor,
} from '@strata/namespaces';
import type { Hub } from '../attach/hub.ts';
import { type ExitInfo, readExitRecord, UNKNOWN_EXIT_STATUS } from '../keeper/exit-record.ts';
import { Keeper } from '../keeper/keeper.ts';
import type { ContainerStore } from '../service/container-store.ts';
import type { ProcessRecord } from '../service/records.ts';
import type { ProcessOutput } from '../stdio/output.ts';
import { openOutput } from '../stdio/output.ts';
import { endOnly, type ProcessInput, Stdin } from '../stdio/stdin.ts';
import type { Channels } from '../stdio/stdio.ts';
import { openProcess, signalProcess } from './signal.ts';

/** Between two looks for a record that is due, and between two attempts to make an exit durable. */
const LOOK_MS = [0, 1, 5, 20, 100, 300] as const;
const RETRY_MS = 1000;

export interface KeptProcessOptions {
  record: ProcessRecord;
  store: ContainerStore;
  /** Where its exit and its journals are. */
  place: string;
  exitFile: string;
  /** Which of the container's inits it is, counted from 0. */
  life?: number;
  /** What it reads and writes: made with it, or fetched from its keeper. */
  channels: Channels;
  hub: Hub;
  /** Asked when it has ended. */
  wasOomKilled: () => boolean;
  onExit: (exit: ExitInfo) => void;
  onTrouble: (message: string, error: unknown) => void;
}

export class KeptProcess implements Disposable {
  readonly #options: KeptProcessOptions;
  readonly #ended = Promise.withResolvers<ExitInfo>();
  #output: ProcessOutput | undefined;
  #keeper: Keeper | undefined;
  #stdinHolder: Keeper | undefined;
  #stageHolder: Keeper | undefined;
  #pidfd: { close(): void } | undefined;
  #exit: ExitInfo | undefined;
  #isDurable = false;
  #timer: NodeJS.Timeout | undefined;
  #resizer: number | undefined;

  /** @throws {StrataError} INVALID_LOG_PATH; the channels are closed then */
  constructor(options: KeptProcessOptions) {
    this.#options = options;
    const { record, channels, hub } = options;
    // A process nobody waits for must not count as an unhandled rejection when it is deleted.
    this.#ended.promise.catch(() => {});
    this.#keeper = record.keeper && Keeper.open(record.keeper);
    this.#stdinHolder = record.stdinHolder && Keeper.open(record.stdinHolder);
    this.#stageHolder = record.stages && Keeper.open(record.stages.holder);
    if (channels.master !== undefined) {
      this.#resizer = localSyscalls().duplicateFrom(channels.master, 3);
    }
    try {
      hub.connect(this.#input());
      if (channels.stdin !== undefined) localSyscalls().close(channels.stdin);
      this.#output = openOutput({
        ...options,
        onTrouble: (error) => options.onTrouble('output is paused', error),
        onEnded: () => this.#outputEnded(),
      });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #input(): ProcessInput | undefined {
    const { channels } = this.#options;
    const fd = channels.master ?? channels.stdin;
    const drop = (): void => this.#dropHolder();
    if (fd !== undefined) return new Stdin(fd, drop);
    return this.#stdinHolder ? endOnly(drop) : undefined;
  }

  /** Begins to work: from here on exits are reported. */
  watch(): void {
    this.#output?.watch();
    this.settle();
    if (this.#exit) return;
    this.#watchProcess();
  }

  get pid(): number {
    return this.#options.record.init?.pid ?? 0;
  }

  get output(): ProcessOutput | undefined {
    return this.#output;
  }

  /** The exit, after a look at the record: its announcement may still be under way. */
  get exit(): ExitInfo | undefined {
    this.settle();
    return this.#exit;
  }

  /** The exit, once it has come. */
  wait(): Promise<ExitInfo> {
    this.settle();
    return this.#ended.promise;
  }

  /** @returns whether it has a terminal */
  resize(size: WindowSize): boolean {
    if (this.#resizer === undefined) return false;
    setWindowSize(localSyscalls(), this.#resizer, size);
    return true;
  }

  /**
   * Signals this very process, or its whole group: an exec leads one.
   * @throws {StrataError} NOT_RUNNING where it has ended
   */
  signal(signal: number, options: { group?: boolean } = {}): void {
    const { init } = this.#options.record;
    if (!this.#exit && signalProcess(init, signal, options)) return;
    throw new StrataError('NOT_RUNNING', `process ${init?.pid ?? 0} has ended`, { errno: ESRCH });
  }

  /** Looks whether the keeper has written the exit record, and settles the exit if so. */
  settle(): void {
    if (this.#exit) return;
    const { store, place, exitFile, life, wasOomKilled } = this.#options;
    const known = store.readExit(place, life);
    if (known) {
      this.#isDurable = true;
      this.#finish(known);
      return;
    }
    const record = readExitRecord(exitFile);
    if (record) this.#finish({ ...record, oomKilled: wasOomKilled() });
  }

  #watchProcess(): void {
    const pidfd = openProcess(this.#options.record.init);
    if (pidfd === undefined) {
      this.#await(0);
      return;
    }
    const watch = watchDescriptor(pidfd, { readable: true }, () => {
      this.#unwatchProcess();
      this.#await(0);
    });
    this.#pidfd = {
      close() {
        watch.close();
        localSyscalls().close(pidfd);
      },
    };
  }

  #unwatchProcess(): void {
    this.#pidfd?.close();
    this.#pidfd = undefined;
  }

  /** It has ended: the record should come any moment. */
  #await(look: number): void {
    this.settle();
    if (this.#exit) return;
    const delay = LOOK_MS[look];
    if (delay !== undefined) {
      this.#timer = setTimeout(() => this.#await(look + 1), delay);
      return;
    }
    const { wasOomKilled } = this.#options;
    const inMemory = this.#keeper?.exitInMemory();
    const exitStatus = inMemory ?? UNKNOWN_EXIT_STATUS;
    this.#finish({ exitStatus, exitedAtNs: realtimeNs(), oomKilled: wasOomKilled() });
  }

  #finish(exit: ExitInfo): void {
    this.#exit = exit;
    clearTimeout(this.#timer);
    this.#unwatchProcess();
    this.#output?.drain();
    this.#makeDurable(exit);
    // Without output to finish, what the keeper holds only keeps the caller's readers waiting.
    if (!this.#output || this.#output.ended) this.#outputEnded();
    this.#dropHolder();
    this.#ended.resolve(exit);
    this.#options.hub.end({ reason: 'exit', exit });
    this.#options.onExit(exit);
  }

  /** On a full disk the exit is told all the same, and kept by the keeper until there is room. */
  #makeDurable(exit: ExitInfo): void {
    if (this.#isDurable) return;
    const { store, place, life, onTrouble } = this.#options;
    try {
      store.writeExit(place, exit, life);
      this.#isDurable = true;
    } catch (error) {
      onTrouble('its exit cannot be written', error);
      this.#timer = setTimeout(() => {
        this.#makeDurable(exit);
        if (!this.#output || this.#output.ended) this.#outputEnded();
      }, RETRY_MS);
    }
  }

  /** Nothing is left for the keeper to keep, once the exit is known as well. */
  #outputEnded(): void {
    if (this.#exit && this.#isDurable) this.#releaseKeeper();
  }

  #releaseKeeper(): void {
    end(this.#keeper);
    end(this.#stageHolder);
    this.#keeper = undefined;
    this.#stageHolder = undefined;
  }

  #dropHolder(): void {
    end(this.#stdinHolder);
    this.#stdinHolder = undefined;
  }

  /** Passes on what there is of its output, and takes no more. @returns whether all has arrived */
  finishOutput(): boolean {
    return this.#output?.finish() ?? true;
  }

  /** It is no more: ends its output and everyone's wait. */
  deleted(error: Error): void {
    this.settle();
    this.#output?.finish();
    this.#ended.reject(error);
    this.#releaseKeeper();
    this.#dropHolder();
  }

  /** Lets go of descriptors and watches; the process is not touched. */
  [Symbol.dispose](): void {
    this.#ended.reject(new StrataError('SHUTTING_DOWN', 'the shim ends; the container goes on'));
    clearTimeout(this.#timer);
    this.#unwatchProcess();
    this.#output?.[Symbol.dispose]();
    this.#output = undefined;
    if (this.#resizer !== undefined) localSyscalls().close(this.#resizer);
    this.#resizer = undefined;
    for (const kept of [this.#keeper, this.#stdinHolder, this.#stageHolder]) {
      kept?.[Symbol.dispose]();
    }
    this.#keeper = undefined;
    this.#stdinHolder = undefined;
    this.#stageHolder = undefined;
    this.#options.hub[Symbol.dispose]();
  }
}

function end(keeper: Keeper | undefined): void {
  keeper?.kill();
  keeper?.[Symbol.dispose]();
}
