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
import { closeSync } from 'node:fs';
import {
  type Cgroup,
  type CgroupStats,
  OomWatch,
  SIGKILL,
  SIGTERM,
  StrataError,
  span,
  type WindowSize,
} from '@strata/namespaces';
import { type LinuxResources, Runtime } from '@strata/oci-runtime';
import type { Attached, AttachOptions } from '../attach/attachment.ts';
import type { Hub } from '../attach/hub.ts';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { ExitWatch } from '../keeper/exit-watch.ts';
import type { KeptProcess } from '../process/kept-process.ts';
import { unmountRootfs } from '../rootfs/rootfs-mounts.ts';
import type { Container } from './container.ts';
import { ContainerStore, validateId } from './container-store.ts';
import { type Made, makeContainer, remakeContainer, wantStart } from './create-container.ts';
import { addExec, deleteExec, findExec, runExec, startExec } from './execs.ts';
import { freezeCgroup } from './freeze.ts';
import { lockExclusively } from './lock.ts';
import { containerRecord } from './records.ts';
import type {
  AddExec,
  ContainerState,
  CreateContainer,
  DeleteOptions,
  ExecRequest,
  ExecResult,
  ExecState,
  ProcessInContainer,
  ProcessOptions,
  Repeatable,
  ShimApi,
  ShimEvent,
  StopContainer,
} from './shim-api.ts';
import { takeOver } from './takeover.ts';
import type { World } from './world.ts';

/** Docker's. */
const STOP_TIMEOUT_MS = 10_000;

export interface ShimOptions {
  /** The stack's state directory, such as /run/strata; the shim's is `shim` in it. */
  state: string;
  /** Hears of troubles that no caller can be told of, such as a log on a full disk. */
  onTrouble?: (message: string, error: unknown) => void;
}

export class Shim implements ShimApi, Disposable {
  readonly #world: World;
  readonly #containers = new Map<string, Container>();
  readonly #listeners = new Set<(event: ShimEvent) => void>();
  readonly #lock: number;
  readonly #watch: ExitWatch;
  #closed = false;

  private constructor(options: ShimOptions, store: ContainerStore, lock: number) {
    this.#lock = lock;
    this.#world = {
      store,
      runtime: new Runtime({ root: `${options.state}/oci` }),
      emit: (event) => this.#emit(event),
      trouble: options.onTrouble ?? (() => {}),
      oom: new OomWatch((id) => this.#containers.get(id)?.supervisor.oomHappened()),
      deletions: new Map(),
      remake: (container) => remakeContainer(this.#world, container),
    };
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
    const { store } = this.#world;
    for (const id of store.ids()) {
      const container = takeOver(this.#world, id);
      if (container) this.#containers.set(id, container);
    }
    store.removeStrayExits();
    for (const container of this.#containers.values()) {
      container.watch();
      container.supervisor.resume();
    }
  }

  async create(options: CreateContainer): Promise<{ pid: number }> {
    const { id, start = false, rootfs = [], requestId } = options;
    validateId(id);
    const known = this.#containers.get(id);
    if (known && isRepeated(known.record.requests?.create, requestId)) return { pid: known.pid };
    const record = containerRecord(options);
    // Written down with the container: a successor starts what we could not.
    if (start) wantStart(record);
    using made = makeContainer(this.#world, record, rootfs);
    const { container } = made;
    this.#containers.set(id, container);
    this.#emit({ kind: 'create', id, pid: container.pid });
    if (start) this.#startMade(made);
    container.watch();
    return { pid: container.pid };
  }

  #startMade(made: Made): void {
    const { container } = made;
    try {
      this.#start(container, made.start);
    } catch (error) {
      this.#remove(container);
      throw error;
    }
  }

  #start(container: Container, begin: () => void): void {
    begin();
    container.started();
    this.#emit({ kind: 'start', id: container.id, pid: container.pid });
  }

  async start(id: string, { requestId }: Repeatable = {}): Promise<void> {
    const container = this.#find(id);
    const { record } = container;
    if (container.isStarted && isRepeated(record.requests?.start, requestId)) return;
    if (container.status === 'created') {
      wantStart(record);
      if (requestId !== undefined) record.requests = { ...record.requests, start: requestId };
      this.#world.store.write(record);
    }
    try {
      this.#start(container, () => this.#world.runtime.start(id));
    } catch (error) {
      if (!container.isStarted) record.isWanted = false;
      throw error;
    }
  }

  async kill(id: string, signal: number, all = false, { requestId }: Repeatable = {}) {
    const container = this.#find(id);
    const { record } = container;
    if (isRepeated(record.requests?.kill, requestId)) return;
    container.kill(signal, all);
    // Of SIGKILL a second one is no harm.
    if (signal === SIGKILL || requestId === undefined) return;
    record.requests = { ...record.requests, kill: requestId };
    this.#world.store.write(record);
  }

  async stop(id: string, options: StopContainer = {}): Promise<ExitInfo> {
    const { signal = SIGTERM, timeoutMs = STOP_TIMEOUT_MS, requestId } = options;
    return this.#find(id).supervisor.stop({ signal, timeoutMs, requestId });
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

  async delete(id: string, options: DeleteOptions = {}): Promise<ExitInfo | undefined> {
    const { force = false, requestId } = options;
    const { deletions } = this.#world;
    if (requestId !== undefined && deletions.has(requestId)) return deletions.get(requestId);
    const container = this.#find(id);
    if (!force) refuseToDelete(container);
    const before = container.exit;
    if (requestId !== undefined) {
      container.record.requests = { ...container.record.requests, delete: requestId };
    }
    this.#remove(container);
    const exit = before ?? container.exit;
    this.#emit({ kind: 'delete', id, pid: container.pid, ...(exit && { exit }) });
    return exit;
  }

  #remove(container: Container): void {
    const { store, runtime } = this.#world;
    const { id } = container;
    store.markDeleting(container.record);
    runtime.delete(id, { force: true });
    if (container.record.rootfs) unmountRootfs(container.record.rootfs);
    container.deleted(new StrataError('NOT_FOUND', `container ${id} was deleted`));
    container[Symbol.dispose]();
    store.remove(id);
    this.#containers.delete(id);
  }

  async pause(id: string): Promise<void> {
    const container = this.#alive(id, 'pause');
    const { cgroup } = container;
    if (!cgroup) throw noCgroup(id);
    if (container.isFrozen) return;
    await freezeCgroup(cgroup, id);
    this.#emit({ kind: 'paused', id, pid: container.pid });
  }

  async resume(id: string): Promise<void> {
    const container = this.#alive(id, 'resume');
    if (!container.isFrozen) return;
    container.cgroup!.thaw();
    this.#emit({ kind: 'resumed', id, pid: container.pid });
  }

  async update(id: string, resources: LinuxResources): Promise<void> {
    const container = this.#alive(id, 'update');
    await this.#world.runtime.update(id, resources);
    this.#emit({ kind: 'updated', id, pid: container.pid });
  }

  async stats(id: string): Promise<CgroupStats> {
    return this.#cgroup(this.#find(id)).stats();
  }

  async pids(id: string): Promise<number[]> {
    return this.#find(id).cgroup?.processes() ?? [];
  }

  async processes(id: string): Promise<ProcessInContainer[]> {
    const container = this.#find(id);
    const byPid = new Map([...container.execs].map(([execId, exec]) => [exec.state.pid, execId]));
    return (await this.pids(id)).map((pid) => {
      const execId = byPid.get(pid);
      return execId === undefined ? { pid } : { pid, execId };
    });
  }

  async exec(request: ExecRequest, signal?: AbortSignal): Promise<ExecResult> {
    return runExec(this.#world, this.#find(request.id), request, signal);
  }

  async addExec(request: AddExec): Promise<void> {
    addExec(this.#world, this.#find(request.id), request);
  }

  async startExec(id: string, execId: string, options: Repeatable = {}): Promise<{ pid: number }> {
    return startExec(this.#world, this.#find(id), { ...options, execId });
  }

  async execState(id: string, execId: string): Promise<ExecState> {
    return findExec(this.#find(id), execId).state;
  }

  async listExecs(id: string): Promise<ExecState[]> {
    return [...this.#find(id).execs.values()].map((exec) => exec.state);
  }

  async killExec(id: string, execId: string, signal: number, options: Repeatable = {}) {
    findExec(this.#find(id), execId).kill(signal, options.requestId);
  }

  async waitExec(id: string, execId: string): Promise<ExitInfo> {
    return findExec(this.#find(id), execId).wait();
  }

  async deleteExec(
    id: string,
    execId: string,
    options: DeleteOptions = {},
  ): Promise<ExitInfo | undefined> {
    const { force = false } = options;
    return deleteExec(this.#world, this.#find(id), { execId, force });
  }

  async resize(id: string, size: WindowSize, options: ProcessOptions = {}): Promise<void> {
    if (this.#process(id, options).resize(size)) return;
    throw new StrataError('NO_TERMINAL', `the process in container ${id} has no terminal`);
  }

  async closeStdin(id: string, options: ProcessOptions = {}): Promise<void> {
    this.#hub(id, options).closeStdin();
  }

  async attach(id: string, options: AttachOptions = {}): Promise<Attached> {
    return this.#hub(id, options).attach(options);
  }

  async reopenLog(id: string): Promise<void> {
    this.#find(id).log?.reopen();
  }

  #process(id: string, { execId }: ProcessOptions): KeptProcess {
    const container = this.#find(id);
    return execId === undefined ? container.init : findExec(container, execId).kept;
  }

  #hub(id: string, { execId }: ProcessOptions): Hub {
    const container = this.#find(id);
    return execId === undefined ? container.hub : findExec(container, execId).hub;
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

  #alive(id: string, verb: string): Container {
    const container = this.#find(id);
    const { status } = container;
    if (status !== 'stopped' && status !== 'restarting') return container;
    throw new StrataError('INVALID_STATUS', `cannot ${verb} container ${id}: it is ${status}`);
  }

  #cgroup({ id, cgroup }: Container): Cgroup {
    if (cgroup) return cgroup;
    throw noCgroup(id);
  }

  #exitWritten(name: string | undefined): void {
    if (name === undefined) {
      for (const container of this.#containers.values()) container.settle();
      return;
    }
    const [id, execId] = name.split('@') as [string, string?];
    this.#containers.get(id)?.settle(execId);
  }

  #emit(event: ShimEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Lets go of everything; the containers go on, for the next shim to take over. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch[Symbol.dispose]();
    this.#world.oom[Symbol.dispose]();
    for (const container of this.#containers.values()) container[Symbol.dispose]();
    this.#containers.clear();
    closeSync(this.#lock);
  }
}

function noCgroup(id: string): StrataError {
  return new StrataError('NO_CGROUP', `container ${id} has no cgroup`);
}

function refuseToDelete(container: Container): void {
  const { id, status } = container;
  if (status === 'running' || status === 'paused' || status === 'restarting') {
    throw new StrataError('INVALID_STATUS', `cannot delete container ${id}: it is ${status}`, {
      hint: 'stop it first, or use force',
    });
  }
  if (status !== 'stopped' || container.init.finishOutput()) return;
  throw new StrataError('LOG_NOT_WRITTEN', `the last lines of container ${id} are not in its log`, {
    hint: 'its disk may be full; with force they are given up',
    ...(container.record.log && { path: container.record.log.path }),
  });
}

/** Whether it is the request that was carried out already. */
const isRepeated = (done: string | undefined, requestId: string | undefined): boolean =>
  requestId !== undefined && done === requestId;
