/**
 * One container in the shim: its status, its log, and its end.
 *
 *   created ──start──▶ running ──exit record──▶ stopped ──delete──▶ (gone)
 *      └────────────────exit record────────────────▲
 *
 * The exit is settled in a fixed order: what was printed goes to the log, the OOM flag is read while
 * the cgroup is there, both are made durable, and only then is anybody told.
 */

import { type ExitInfo, readExitRecord, UNKNOWN_EXIT_STATUS } from '../keeper/exit-record.ts';
import { type Keeper, reapEnded } from '../keeper/keeper.ts';
import { wasOomKilled } from '../keeper/oom.ts';
import type { ContainerLog } from '../logs/container-log.ts';
import { realtimeNs } from '../logs/log-stream.ts';
import type { ContainerRecord, ContainerStore } from './container-store.ts';
import type { ContainerState, ContainerStatus } from './shim-api.ts';

export class Container implements Disposable {
  readonly record: ContainerRecord;
  readonly #store: ContainerStore;
  readonly #log: ContainerLog | undefined;
  readonly #onExit: (container: Container) => void;
  readonly #ended = Promise.withResolvers<ExitInfo>();
  #keeper: Keeper | undefined;
  #status: ContainerStatus;
  #exit: ExitInfo | undefined;
  #lostInit: NodeJS.Timeout | undefined;

  constructor(options: {
    record: ContainerRecord;
    store: ContainerStore;
    status: ContainerStatus;
    keeper: Keeper | undefined;
    log: ContainerLog | undefined;
    onExit: (container: Container) => void;
  }) {
    this.record = options.record;
    this.#store = options.store;
    this.#status = options.status;
    this.#keeper = options.keeper;
    this.#log = options.log;
    this.#onExit = options.onExit;
    // A container nobody waits for must not count as an unhandled rejection when it is deleted.
    this.#ended.promise.catch(() => {});
    this.#keeper?.onEnd(() => this.#keeperEnded());
    this.#log?.watch();
  }

  get id(): string {
    return this.record.id;
  }

  get pid(): number {
    return this.record.init?.pid ?? 0;
  }

  get exit(): ExitInfo | undefined {
    return this.#exit;
  }

  get log(): ContainerLog | undefined {
    return this.#log;
  }

  /** The status, after a look at the exit record: its announcement may still be under way. */
  get status(): ContainerStatus {
    if (!this.#exit) this.settle();
    return this.#status;
  }

  get state(): ContainerState {
    const { id, bundle, terminal, logPath } = this.record;
    const { status, pid } = this;
    return {
      id,
      bundle,
      status,
      pid,
      terminal,
      ...(logPath !== undefined && { logPath }),
      ...(this.#exit && { exit: this.#exit }),
    };
  }

  started(): void {
    if (this.#status === 'created') this.#status = 'running';
  }

  /** The exit, once it has come. */
  wait(): Promise<ExitInfo> {
    this.settle();
    return this.#ended.promise;
  }

  /** Looks whether the keeper has written the exit record, and settles the exit if so. */
  settle(): void {
    if (this.#exit) return;
    const known = this.#store.readExit(this.id);
    if (known) this.#finish(known, false);
    else {
      const record = readExitRecord(this.#store.exitFile(this.id));
      if (record) this.#finish({ ...record, oomKilled: wasOomKilled(this.record.cgroups) }, true);
    }
  }

  #finish(exit: ExitInfo, isNews: boolean): void {
    this.#exit = exit;
    this.#status = 'stopped';
    this.#log?.drain();
    if (isNews) this.#store.writeExit(this.id, exit);
    // Without a log to finish, what the keeper holds only keeps the caller's readers waiting.
    if (!this.#log || this.#log.ended) this.#releaseKeeper();
    this.#ended.resolve(exit);
    this.#onExit(this);
  }

  #releaseKeeper(): void {
    this.#keeper?.kill();
    this.#keeper?.[Symbol.dispose]();
    this.#keeper = undefined;
  }

  /** Someone killed the keeper. The container goes on; how it ends cannot be known any more. */
  #keeperEnded(): void {
    this.#keeper?.reap();
    this.#keeper?.[Symbol.dispose]();
    this.#keeper = undefined;
    this.settle();
    this.watchUnkept();
  }

  /** For a container without a keeper: notices its end, by looking. */
  watchUnkept(): void {
    if (this.#exit || this.#lostInit) return;
    this.#lostInit = setInterval(() => {
      if (this.#exit || !reapEnded(this.record.init)) return;
      clearInterval(this.#lostInit);
      const oomKilled = wasOomKilled(this.record.cgroups);
      this.#finish({ exitStatus: UNKNOWN_EXIT_STATUS, exitedAtNs: realtimeNs(), oomKilled }, true);
    }, 100);
  }

  /** The container is no more: ends its log and everyone's wait. */
  deleted(error: Error): void {
    this.settle();
    this.#log?.finish();
    this.#ended.reject(error);
    this.#releaseKeeper();
  }

  /** Lets go of descriptors and watches; the container is not touched. */
  [Symbol.dispose](): void {
    clearInterval(this.#lostInit);
    this.#log?.[Symbol.dispose]();
    this.#keeper?.[Symbol.dispose]();
    this.#keeper = undefined;
  }
}
