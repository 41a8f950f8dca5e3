/**
 * A process that was executed in a container, with an id of its own:
 *
 *   added ──start──▶ running ──exit record──▶ stopped      ──delete──▶ (gone)
 *
 * It has what the init has: a keeper, an exit record, a log or attachments or a terminal. It goes on
 * when the shim dies, and the next one takes it over.
 */
import { closeSync } from 'node:fs';
import { SIGKILL, StrataError } from '@strata/namespaces';
import type { ProcessIdentity } from '@strata/oci-runtime';
import { Hub } from '../attach/hub.ts';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { KeptProcess } from '../process/kept-process.ts';
import { NewHolder } from '../stdio/holder.ts';
import { type Channels, openStdio, type Stdio } from '../stdio/stdio.ts';
import type { ExecRecord } from './records.ts';
import type { ExecState } from './shim-api.ts';
import type { World } from './world.ts';

export class ExecProcess implements Disposable {
  readonly record: ExecRecord;
  readonly containerId: string;
  readonly hub: Hub;
  readonly #world: World;
  readonly #started = Promise.withResolvers<KeptProcess>();
  #kept: KeptProcess | undefined;

  constructor(world: World, containerId: string, record: ExecRecord) {
    this.#world = world;
    this.containerId = containerId;
    this.record = record;
    this.hub = Hub.of(record);
    // One nobody waits for must not count as an unhandled rejection when it is deleted.
    this.#started.promise.catch(() => {});
  }

  get id(): string {
    return this.record.execId;
  }

  get exit(): ExitInfo | undefined {
    return this.#kept?.exit;
  }

  /** The process, once it was started. @throws {StrataError} INVALID_STATUS before */
  get kept(): KeptProcess {
    if (this.#kept) return this.#kept;
    const { id, containerId } = this;
    const message = `exec ${id} in container ${containerId} was not started`;
    throw new StrataError('INVALID_STATUS', message, { hint: 'start it first' });
  }

  get state(): ExecState {
    const { execId, terminal, stdio } = this.record;
    const { exit } = this;
    const status = exit ? 'stopped' : this.#kept ? 'running' : 'added';
    const pid = this.#kept?.pid ?? 0;
    return {
      ...{ id: this.containerId, execId, status, pid, terminal },
      ...(stdio && { stdio }),
      ...(exit && { exit }),
    };
  }

  get isStarted(): boolean {
    return this.#kept !== undefined;
  }

  /** @throws {StrataError} INVALID_STATUS, or why the process could not be started */
  start(requestId?: string): { pid: number } {
    const { record, containerId } = this;
    if (this.#kept) {
      const message = `cannot start exec ${this.id} in container ${containerId} again`;
      throw new StrataError('INVALID_STATUS', message);
    }
    const { store } = this.#world;
    const stdio = openStdio(record);
    let holder: NewHolder | undefined;
    try {
      record.phase = 'starting';
      if (requestId !== undefined) record.requests = { ...record.requests, start: requestId };
      record.held = stdio.names;
      if (stdio.stdinEnd !== undefined) {
        const title = `strata: stdin of ${containerId} ${this.id}`;
        const mark = store.exitFile(containerId, this.id);
        holder = new NewHolder([stdio.stdinEnd], { title, mark });
        record.stdinHolder = holder.identity;
      }
      store.writeExec(containerId, record);
      const channels = this.#execute(stdio);
      holder?.release();
      this.adopt(channels);
    } catch (error) {
      holder?.abandon();
      record.phase = 'added';
      delete record.stdinHolder;
      store.writeExec(containerId, record);
      throw error;
    }
    return { pid: this.kept.pid };
  }

  #execute(stdio: Stdio): Channels {
    const { record, containerId } = this;
    const { store, runtime } = this.#world;
    const exitFile = store.exitFile(containerId, this.id);
    let executed: ReturnType<typeof runtime.exec>;
    try {
      executed = runtime.exec({
        id: containerId,
        process: { ...record.process, terminal: record.terminal },
        stdio: stdio.process,
        keeper: { exitFile, holdFds: stdio.held },
      });
    } catch (error) {
      stdio.abandon();
      throw error;
    }
    const { pid, startTime, keeperPid, keeperStartTime, consoleMaster } = executed;
    const channels = stdio.handedOver(consoleMaster);
    try {
      this.identified({ pid, startTime }, { pid: keeperPid!, startTime: keeperStartTime! });
      return channels;
    } catch (error) {
      for (const fd of Object.values(channels)) closeSync(fd);
      throw error;
    }
  }

  /** Writes down who it is: from here on a successor can take it over. */
  identified(init: ProcessIdentity, keeper: ProcessIdentity): void {
    const { record } = this;
    Object.assign(record, { init, keeper, phase: 'started' });
    // One that nobody can ask for again has its cgroup to be found by.
    if (!record.transient) this.#world.store.writeExec(this.containerId, record);
  }

  /** @param channels what it reads and writes */
  adopt(channels: Channels): void {
    const { record, containerId, id, hub } = this;
    const { store, emit, trouble } = this.#world;
    this.#kept = new KeptProcess({
      ...{ record, store, channels, hub },
      place: store.place(containerId, id),
      exitFile: store.exitFile(containerId, id),
      wasOomKilled: () => false,
      onExit: (exit) => {
        // Who runs one to its end gets it as an answer.
        if (record.transient) return;
        emit({ kind: 'exit', id: containerId, execId: id, pid: this.kept.pid, exit });
      },
      onTrouble: (message, error) => trouble(`exec ${id} in ${containerId}: ${message}`, error),
    });
    this.#started.resolve(this.#kept);
  }

  /** The exit, once it has come; one that was not started yet is waited for all the same. */
  async wait(): Promise<ExitInfo> {
    return (await this.#started.promise).wait();
  }

  /** @throws {StrataError} INVALID_STATUS, NOT_RUNNING */
  kill(signal: number, requestId?: string): void {
    const { record } = this;
    if (requestId !== undefined && record.requests?.kill === requestId) return;
    this.kept.signal(signal);
    // Of SIGKILL a second one is no harm.
    if (signal === SIGKILL || requestId === undefined) return;
    record.requests = { ...record.requests, kill: requestId };
    this.#world.store.writeExec(this.containerId, record);
  }

  watch(): void {
    this.#kept?.watch();
  }

  settle(): void {
    this.#kept?.settle();
  }

  deleted(error: Error): void {
    this.#started.reject(error);
    this.#kept?.deleted(error);
    this.hub.end({ reason: 'gone' });
  }

  [Symbol.dispose](): void {
    this.#kept?.[Symbol.dispose]();
    this.hub[Symbol.dispose]();
  }
}
