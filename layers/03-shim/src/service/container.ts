/**
 * One container in the shim: its init, and the processes that were executed in it.
 *
 *   created ──start──▶ running ◀──pause, resume──▶ paused
 *      │                  │                          │
 *      └───exit record────┴──▶ stopped ◀─────────────┘       ──delete──▶ (gone)
 */
import { Cgroup } from '@strata/namespaces';
import { Hub } from '../attach/hub.ts';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { wasOomKilled } from '../keeper/oom.ts';
import { ContainerLog } from '../logs/container-log.ts';
import { KeptProcess } from '../process/kept-process.ts';
import type { Channels } from '../stdio/stdio.ts';
import type { ExecProcess } from './exec-process.ts';
import type { ContainerRecord } from './records.ts';
import type { ContainerState, ContainerStatus } from './shim-api.ts';
import type { World } from './world.ts';

export class Container implements Disposable {
  readonly record: ContainerRecord;
  readonly hub: Hub;
  readonly init: KeptProcess;
  readonly execs = new Map<string, ExecProcess>();
  #isStarted: boolean;

  /** @param options.channels what the init reads and writes; closed where this fails */
  constructor(
    world: World,
    options: { record: ContainerRecord; channels: Channels; isStarted: boolean },
  ) {
    const { record } = options;
    this.record = record;
    this.#isStarted = options.isStarted;
    this.hub = Hub.of(record);
    this.init = new KeptProcess({
      ...options,
      ...{ store: world.store, place: world.store.place(record.id), hub: this.hub },
      exitFile: world.store.exitFile(record.id),
      wasOomKilled: () => wasOomKilled(record.cgroups),
      onExit: (exit) => this.#exited(world, exit),
      onTrouble: (message, error) => world.trouble(`container ${record.id}: ${message}`, error),
    });
  }

  #exited(world: World, exit: ExitInfo): void {
    const { id, init } = this;
    if (exit.oomKilled) world.emit({ kind: 'oom', id, pid: init.pid, exit });
    world.emit({ kind: 'exit', id, pid: init.pid, exit });
  }

  get id(): string {
    return this.record.id;
  }

  get pid(): number {
    return this.init.pid;
  }

  /** The status, after a look at the exit record and at the cgroup. */
  get status(): ContainerStatus {
    if (this.init.exit) return 'stopped';
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
    const { output } = this.init;
    return output instanceof ContainerLog ? output : undefined;
  }

  get state(): ContainerState {
    const { id, bundle, terminal, log, stdio } = this.record;
    const { status, pid } = this;
    const { exit } = this.init;
    return {
      ...{ id, bundle, status, pid, terminal },
      ...(log && { logPath: log.path }),
      ...(stdio && { stdio }),
      ...(exit && { exit }),
    };
  }

  started(): void {
    this.#isStarted = true;
  }

  /** Begins to work on output and exits. */
  watch(): void {
    this.init.watch();
    for (const exec of this.execs.values()) exec.watch();
  }

  /** An exit record was written: the init's, or an exec's; without a name, any. */
  settle(execId?: string): void {
    if (execId !== undefined) this.execs.get(execId)?.settle();
    else {
      this.init.settle();
      for (const exec of this.execs.values()) exec.settle();
    }
  }

  /** The container is no more: ends its log and everyone's wait. */
  deleted(error: Error): void {
    for (const exec of this.execs.values()) exec.deleted(error);
    this.init.deleted(error);
  }

  /** Lets go of descriptors and watches; the container is not touched. */
  [Symbol.dispose](): void {
    for (const exec of this.execs.values()) exec[Symbol.dispose]();
    this.execs.clear();
    this.init[Symbol.dispose]();
  }
}
