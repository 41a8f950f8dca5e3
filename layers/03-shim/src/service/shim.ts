/**
 * The shim: containers that survive it.
 *
 *   using shim = Shim.open({ state: '/run/strata' });
 *   await shim.create({ id: 'web', bundle, log: { path, format: 'cri' } });
 *   await shim.start('web');
 *   const { exitStatus } = await shim.wait('web');
 *   await shim.delete('web');
 *
 * There is one shim to a state directory at a time (a lock sees to it). It may be killed whenever
 * you like: containers run on, their output waits in pipes that keepers hold, their exit codes are
 * in files, and the next `open` takes over. Everything it does to a container is written down
 * before it is done (see container-store.ts).
 */
import { closeSync, openSync } from 'node:fs';
import { Cgroup, EAGAIN, localSyscalls, StrataError, span } from '@strata/namespaces';
import { Runtime } from '@strata/oci-runtime';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { ExitWatch } from '../keeper/exit-watch.ts';
import { Keeper } from '../keeper/keeper.ts';
import { ContainerLog } from '../logs/container-log.ts';
import { Container } from './container.ts';
import { type ContainerRecord, ContainerStore, validateId } from './container-store.ts';
import { execCaptured } from './exec-capture.ts';
import type {
  ContainerState,
  CreateContainer,
  ExecRequest,
  ExecResult,
  ShimApi,
  ShimEvent,
} from './shim-api.ts';
import { openStdio, type Sources } from './stdio.ts';
import { takeOver } from './takeover.ts';

const LOCK_EX_NB = 6;

export interface ShimOptions {
  /** The stack's state directory, such as /run/strata; the shim's is `shim` in it. */
  state: string;
  /** Hears of troubles that no caller can be told of, such as a log on a full disk. */
  onTrouble?: (message: string, error: unknown) => void;
}

export class Shim implements ShimApi, Disposable {
  readonly #store: ContainerStore;
  readonly #runtime: Runtime;
  readonly #containers = new Map<string, Container>();
  readonly #listeners = new Set<(event: ShimEvent) => void>();
  readonly #onTrouble: (message: string, error: unknown) => void;
  readonly #lock: number;
  readonly #watch: ExitWatch;
  #closed = false;

  private constructor(options: ShimOptions, store: ContainerStore, lock: number) {
    this.#store = store;
    this.#lock = lock;
    this.#onTrouble = options.onTrouble ?? (() => {});
    this.#runtime = new Runtime({ root: `${options.state}/oci` });
    this.#watch = new ExitWatch(store.exitsDirectory, (name) => this.#exitWritten(name));
  }

  /**
   * Takes charge of a state directory, and of the containers in it.
   * @throws {StrataError} LOCKED where another shim is in charge
   */
  static open(options: ShimOptions): Shim {
    const store = new ContainerStore(options.state);
    const shim = new Shim(options, store, lockExclusively(store.lockPath));
    span('shim.takeover', {}, () => shim.#takeOverAll());
    return shim;
  }

  #takeOverAll(): void {
    for (const id of this.#store.ids()) {
      const parts = { store: this.#store, runtime: this.#runtime };
      const found = takeOver(id, {
        ...parts,
        openLog: (record, sources) => this.#openLog(record, sources),
      });
      if (found) this.#adopt(found.record, found);
    }
    this.#store.removeStrayExits();
  }

  #adopt(
    record: ContainerRecord,
    parts: {
      status: 'created' | 'running';
      keeper: Keeper | undefined;
      log: ContainerLog | undefined;
    },
  ): Container {
    const container = new Container({
      record,
      store: this.#store,
      ...parts,
      onExit: (ended) => this.#exited(ended),
    });
    this.#containers.set(record.id, container);
    container.settle();
    if (!parts.keeper) container.watchUnkept();
    return container;
  }

  async create(options: CreateContainer): Promise<{ pid: number }> {
    const { id, bundle, log, terminal = false, stdio, start = false } = options;
    validateId(id);
    const record: ContainerRecord = {
      id,
      bundle,
      phase: 'creating',
      terminal,
      ...(log?.format === 'cri' && { logPath: log.path }),
      ...(stdio && { stdio }),
    };
    this.#store.reserve(record);
    try {
      const { pid } = this.#create(record, start);
      return { pid };
    } catch (error) {
      this.#store.remove(id);
      throw error;
    }
  }

  #create(record: ContainerRecord, start: boolean): Container {
    const { id, bundle, terminal, logPath } = record;
    const stdio = openStdio({ log: logPath !== undefined, terminal, paths: record.stdio });
    let created: ReturnType<Runtime['createHeld']>;
    try {
      created = this.#runtime.createHeld({
        id,
        bundle,
        stdio: stdio.container,
        keeper: { exitFile: this.#store.exitFile(id), holdFds: stdio.held },
      });
    } catch (error) {
      stdio.abandon();
      throw error;
    }
    using held = created.held;
    const { state } = created;
    const sources = stdio.handedOver(held.consoleMaster);
    try {
      record.init = { pid: state.pid, startTime: state.startTime };
      record.keeper = { pid: state.keeperPid!, startTime: state.keeperStartTime! };
      record.cgroups = state.cgroups;
      record.phase = 'created';
      const log = this.#openLog(record, sources);
      this.#store.write(record);
      const keeper = Keeper.open(record.keeper);
      const container = this.#adopt(record, { status: 'created', keeper, log });
      this.#emit({ kind: 'create', id, pid: container.pid });
      // Only now: whatever becomes of this shim, the next one knows the container.
      if (start) this.#start(container, () => held.start());
      return container;
    } catch (error) {
      this.#containers.get(id)?.[Symbol.dispose]();
      this.#containers.delete(id);
      this.#runtime.delete(id, { force: true });
      throw error;
    }
  }

  #start(container: Container, begin: () => void): void {
    begin();
    container.started();
    this.#emit({ kind: 'start', id: container.id, pid: container.pid });
  }

  #openLog(record: ContainerRecord, sources: Sources): ContainerLog | undefined {
    if (record.logPath === undefined) return undefined;
    try {
      return ContainerLog.open({
        path: record.logPath,
        directory: this.#store.containerDirectory(record.id),
        sources,
        onTrouble: (error) => this.#onTrouble(`log of ${record.id} is paused`, error),
      });
    } catch (error) {
      for (const { descriptors } of sources.values()) descriptors.forEach(closeSync);
      throw error;
    }
  }

  async start(id: string): Promise<void> {
    const container = this.#find(id);
    this.#start(container, () => this.#runtime.start(id));
  }

  async kill(id: string, signal: number, all = false): Promise<void> {
    this.#find(id);
    this.#runtime.kill(id, signal, { all });
  }

  async exec(request: ExecRequest, signal?: AbortSignal): Promise<ExecResult> {
    this.#find(request.id);
    return execCaptured(this.#runtime, request, signal);
  }

  async wait(id: string): Promise<ExitInfo> {
    return this.#find(id).wait();
  }

  async state(id: string): Promise<ContainerState> {
    return this.#find(id).state;
  }

  async list(): Promise<ContainerState[]> {
    return [...this.#containers.values()].map((container) => container.state);
  }

  async pids(id: string): Promise<number[]> {
    const { cgroups } = this.#find(id).record;
    return cgroups && Object.keys(cgroups).length > 0 ? Cgroup.open(cgroups).processes() : [];
  }

  async reopenLog(id: string): Promise<void> {
    this.#find(id).log?.reopen();
  }

  async delete(id: string, options: { force?: boolean } = {}): Promise<ExitInfo | undefined> {
    const container = this.#find(id);
    if (container.status === 'running' && !options.force) {
      throw new StrataError('INVALID_STATUS', `cannot delete container ${id}: it is running`, {
        hint: 'stop it first, or use force',
      });
    }
    const exit = container.exit;
    this.#store.write({ ...container.record, phase: 'deleting' });
    this.#runtime.delete(id, { force: true });
    container.deleted(new StrataError('NOT_FOUND', `container ${id} was deleted`));
    container[Symbol.dispose]();
    this.#store.remove(id);
    this.#containers.delete(id);
    const last = exit ?? container.exit;
    this.#emit({ kind: 'delete', id, pid: container.pid, ...(last && { exit: last }) });
    return last;
  }

  subscribe(listener: (event: ShimEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** How many containers there are, ended ones included. */
  get size(): number {
    return this.#containers.size;
  }

  #find(id: string): Container {
    const container = this.#containers.get(id);
    if (container) return container;
    throw new StrataError('NOT_FOUND', `container ${JSON.stringify(id)} does not exist`, {
      field: 'id',
    });
  }

  #exitWritten(name: string | undefined): void {
    if (name === undefined) for (const container of this.#containers.values()) container.settle();
    else this.#containers.get(name)?.settle();
  }

  #exited(container: Container): void {
    const { id, pid, exit } = container;
    if (exit?.oomKilled) this.#emit({ kind: 'oom', id, pid, exit });
    this.#emit({ kind: 'exit', id, pid, ...(exit && { exit }) });
  }

  #emit(event: ShimEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Lets go of everything; the containers go on, for the next shim to take over. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch[Symbol.dispose]();
    for (const container of this.#containers.values()) container[Symbol.dispose]();
    this.#containers.clear();
    closeSync(this.#lock);
  }
}

/** Holds a lock for as long as the descriptor is open; a killed process holds none. */
function lockExclusively(path: string): number {
  const fd = openSync(path, 'w', 0o600);
  const sys = localSyscalls();
  const result = sys.attempt('flock', fd, LOCK_EX_NB);
  if (result === 0) return fd;
  closeSync(fd);
  if (result !== -EAGAIN) throw sys.failure('flock', -result, [path]);
  throw new StrataError('LOCKED', 'another shim is in charge of this state directory', {
    path,
    hint: 'connect to it instead (ShimClient), or end it first',
  });
}
