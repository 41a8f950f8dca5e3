/**
 * One container in the shim: its init, and the processes that were executed in it.
 *
 *                          ┌──────────── restart ◀── restarting ◀──┐
 *                          ▼                                       │ policy
 *   created ──start──▶ running ◀──pause, resume──▶ paused          │
 *      │                  │                          │             │
 *      └───exit record────┴──────────────────────────┴─────────────┴──▶ stopped ──delete──▶ (gone)
 *
 * Each time it is started again it has another init, with streams and a keeper of its own; the log
 * goes on. What supervises it is in ../supervision/.
 */
import { Cgroup, SIGKILL, StrataError } from '@strata/namespaces';
import { Hub } from '../attach/hub.ts';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { wasOomKilled } from '../keeper/oom.ts';
import { ContainerLog } from '../logs/container-log.ts';
import { KeptProcess } from '../process/kept-process.ts';
import type { Channels } from '../stdio/stdio.ts';
import { Supervisor } from '../supervision/supervisor.ts';
import type { ExecProcess } from './exec-process.ts';
import type { ContainerRecord } from './records.ts';
import type { ContainerState, ContainerStatus } from './shim-api.ts';
import type { World } from './world.ts';

export class Container implements Disposable {
  readonly record: ContainerRecord;
  readonly execs = new Map<string, ExecProcess>();
  readonly supervisor: Supervisor;
  readonly #world: World;
  readonly #final = Promise.withResolvers<ExitInfo>();
  #hub: Hub;
  #init: KeptProcess;
  #isStarted: boolean;
  /** The end of a restart that did not come about. */
  #failed: ExitInfo | undefined;

  /** @param options.channels what the init reads and writes; closed where this fails */
  constructor(
    world: World,
    options: { record: ContainerRecord; channels: Channels; isStarted: boolean },
  ) {
    this.#world = world;
    this.record = options.record;
    this.#isStarted = options.isStarted;
    // A container nobody waits for must not count as an unhandled rejection when it is deleted.
    this.#final.promise.catch(() => {});
    this.#hub = Hub.of(this.record);
    this.#init = this.#keep(options.channels);
    this.supervisor = new Supervisor(world, this);
  }

  #keep(channels: Channels): KeptProcess {
    const { record } = this;
    const { store } = this.#world;
    return new KeptProcess({
      ...{ record, channels, store, place: store.place(record.id), hub: this.#hub },
      exitFile: store.exitFile(record.id),
      life: record.restarts ?? 0,
      wasOomKilled: () => wasOomKilled(record.cgroups),
      onExit: (exit) => this.#exited(exit),
      onTrouble: (message, error) => {
        this.#world.trouble(`container ${record.id}: ${message}`, error);
      },
    });
  }

  #exited(exit: ExitInfo): void {
    const { id, pid } = this;
    this.#world.oom.remove(id);
    if (exit.oomKilled && !this.supervisor.oomWasTold) {
      this.#world.emit({ kind: 'oom', id, pid, exit });
    }
    const restartInMs = this.supervisor.exited(exit);
    const restart = restartInMs === undefined ? {} : { restartInMs };
    this.#world.emit({ kind: 'exit', id, pid, exit, ...restart });
    if (restartInMs === undefined) this.#final.resolve(exit);
  }

  get id(): string {
    return this.record.id;
  }

  get pid(): number {
    return this.#init.pid;
  }

  get init(): KeptProcess {
    return this.#init;
  }

  get hub(): Hub {
    return this.#hub;
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** How it has ended, for good or for the time being. */
  get exit(): ExitInfo | undefined {
    return this.#failed ?? this.#init.exit;
  }

  /** The status, after a look at the exit record and at the cgroup. */
  get status(): ContainerStatus {
    if (this.exit) return this.supervisor.isRestarting ? 'restarting' : 'stopped';
    if (!this.#isStarted) return 'created';
    return this.isFrozen ? 'paused' : 'running';
  }

  /** Its cgroup; undefined where it has none. */
  get cgroup(): Cgroup | undefined {
    const { cgroups = {} } = this.record;
    return Object.keys(cgroups).length > 0 ? Cgroup.open(cgroups) : undefined;
  }

  get isFrozen(): boolean {
    const { cgroup } = this;
    return cgroup?.hasFreezer === true && cgroup.isFrozen;
  }

  get log(): ContainerLog | undefined {
    const { output } = this.#init;
    return output instanceof ContainerLog ? output : undefined;
  }

  get state(): ContainerState {
    const { id, bundle, terminal, log, stdio, restarts = 0 } = this.record;
    const { status, pid, exit } = this;
    const { health } = this.supervisor;
    return {
      ...{ id, bundle, status, pid, terminal, restarts },
      ...(log && { logPath: log.path }),
      ...(stdio && { stdio }),
      ...(exit && status === 'stopped' && { exit }),
      ...(exit && status === 'restarting' && { lastExit: exit }),
      ...(health && { health }),
    };
  }

  /** The exit after which it is not started again. */
  wait(): Promise<ExitInfo> {
    this.#init.settle();
    return this.#final.promise;
  }

  /** It will not be started again after all. */
  settleFor(exit: ExitInfo): void {
    this.#final.resolve(exit);
  }

  /** It could not be started again, and will not be any more. */
  failed(exit: ExitInfo): void {
    this.#failed = exit;
    const { id, pid } = this;
    this.record.phase = 'created';
    this.#world.store.writeExit(this.#world.store.place(id), exit, this.record.restarts);
    this.#world.store.write(this.record);
    this.#world.emit({ kind: 'exit', id, pid, exit });
    this.#final.resolve(exit);
  }

  started(): void {
    this.#isStarted = true;
    this.watchOom();
    this.supervisor.started();
  }

  /** Sends a signal; what is frozen gets it all the same, if it is SIGKILL. */
  kill(signal: number, all = false): void {
    this.#world.runtime.kill(this.id, signal, { all });
    if (signal === SIGKILL && this.isFrozen) this.cgroup?.thaw();
  }

  /** Begins to work on output and exits; once for each init. */
  watch(): void {
    this.#init.watch();
    for (const exec of this.execs.values()) exec.watch();
  }

  /** Has the watch tell of out-of-memory kills from now on. */
  watchOom(): void {
    try {
      this.cgroup?.watchOom(this.#world.oom, this.id);
    } catch (error) {
      // The flag is read at the end in any case; the cgroup may have gone already.
      this.#world.trouble(`container ${this.id}: its memory is not watched`, error);
    }
  }

  /** An exit record was written: the init's, or an exec's; without a name, any. */
  settle(execId?: string): void {
    if (execId !== undefined) this.execs.get(execId)?.settle();
    else {
      this.#init.settle();
      for (const exec of this.execs.values()) exec.settle();
    }
  }

  /** Ends what there is of the init that has ended: another will take its place. */
  endInit(error: StrataError): void {
    this.#init.deleted(error);
    this.#init[Symbol.dispose]();
  }

  /** Another init, in place of the one that was ended; not started. */
  replaceInit(channels: Channels): void {
    this.#isStarted = false;
    this.#hub = Hub.of(this.record);
    this.#init = this.#keep(channels);
  }

  /** The container is no more: ends its log and everyone's wait. */
  deleted(error: Error): void {
    for (const exec of this.execs.values()) exec.deleted(error);
    this.#init.deleted(error);
    this.#final.reject(error);
  }

  /** Lets go of descriptors and watches; the container is not touched. */
  [Symbol.dispose](): void {
    this.supervisor[Symbol.dispose]();
    this.#world.oom.remove(this.id);
    for (const exec of this.execs.values()) exec[Symbol.dispose]();
    this.execs.clear();
    this.#init[Symbol.dispose]();
    this.#final.reject(SHUTTING_DOWN);
  }
}

const SHUTTING_DOWN = new StrataError('SHUTTING_DOWN', 'the shim ends; the container goes on');
