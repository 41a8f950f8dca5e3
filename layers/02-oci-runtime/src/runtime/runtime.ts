/**
 * The runtime: an OCI runtime as a library.
 *
 *   const runtime = new Runtime({ root: '/run/strata/oci' });
 *   runtime.create({ id: 'web', bundle: '/bundles/web' });
 *   runtime.start('web');
 *   runtime.kill('web', SIGTERM);
 *   runtime.delete('web');
 *
 * Calls are synchronous: a whole creation takes about 2 ms, less than the event loop would add.
 * Several processes may use one root at once; the processes of a container belong to no runtime
 * object and live on when this process ends.
 *
 * @see runtime-spec runtime.md
 */
import {
  Cgroup,
  type CgroupStats,
  printError,
  StrataError,
  type SyscallName,
  span,
  startArmedStub,
} from '@strata/namespaces';
import type { LinuxResources } from '../config/spec.ts';
import { poststartIsDecisive, runHooks, runHooksWarning, type Warn } from '../hooks/hooks.ts';
import { startProgram } from '../process/final-program.ts';

import type { ContainerEvent, ContainerEventOptions } from './container-events.ts';
import { processesOf } from './container-processes.ts';
import { type Created, type CreateOptions, createContainer } from './create.ts';
import { type ExecOptions, type Executed, execInContainer } from './exec.ts';
import type { RdtSchemata } from './rdt-schemata.ts';
import { releaseContainer, releaseCreation } from './release.ts';
import { signalContainer } from './signal.ts';
import { runStartContainerHooks } from './start-hooks.ts';
import { type ContainerRecord, StateStore } from './state-store.ts';
import { type Status, statusOf } from './status.ts';

/** The state that the spec defines. @see runtime-spec runtime.md#state */
export interface OciState {
  ociVersion: string;
  id: string;
  status: Status;
  /** 0 where the container is stopped. */
  pid: number;
  bundle: string;
  annotations: Record<string, string>;
}

export interface RuntimeState extends OciState {
  rootfs: string;
  /** RFC 3339. */
  created: string;
  owner: number;
  /** Start time of the init, field 22 of /proc/PID/stat. */
  startTime: number;
  keeperPid?: number;
  keeperStartTime?: number;
  /** The container's cgroup directories by hierarchy. */
  cgroups: Record<string, string>;
}

/** A created container whose init is at hand. */
export interface HeldContainer extends Disposable {
  /** Our descriptor of the PTY's master, where nobody else was given it; the caller closes it. */
  readonly consoleMaster?: number;
  /** Lets the program run, once. @throws {SyscallError} where execve fails */
  start(): void;
}

export class Runtime {
  readonly #store: StateStore;
  readonly #warn: Warn;

  /**
   * @param options.root directory of the containers' state; made (0700) when first needed
   * @param options.onWarning hears of what went wrong without consequence, as a poststop hook that
   *   failed; default: a line on standard error
   */
  constructor(options: { root: string; onWarning?: Warn }) {
    this.#store = new StateStore(options.root);
    this.#warn = options.onWarning ?? ((message) => printError(`warning: ${message}\n`));
  }

  /**
   * Makes a container that waits for `start`.
   * @throws {StrataError} INVALID_CONFIG, ALREADY_EXISTS, or the error of the step that failed
   */
  create(options: CreateOptions): RuntimeState & Pick<Created, 'consoleMaster'> {
    return span('oci.create', { 'container.id': options.id }, () => {
      const { record, consoleMaster } = createContainer(this.#store, options, this.#warn);
      const state = describe(record, 'created');
      return consoleMaster === undefined ? state : { ...state, consoleMaster };
    });
  }

  /**
   * As `create`, for a caller who starts the container at once. That takes less then: nothing of the
   * init has to be looked up again.
   *
   * @returns the state, and what starts the container; it has to be disposed of, started or not
   */
  createHeld(options: CreateOptions): { state: RuntimeState; held: HeldContainer } {
    return span('oci.create', { 'container.id': options.id }, () => {
      const holding = { ...options, hold: true };
      const { record, init, consoleMaster } = createContainer(this.#store, holding, this.#warn);
      const begin = () => this.#begin(record, () => init!.start(programOf(record)));
      const held: HeldContainer = {
        ...(consoleMaster !== undefined && { consoleMaster }),
        start: () => span('oci.start', { 'container.id': options.id }, begin),
        [Symbol.dispose]: () => init!.detach(),
      };
      return { state: describe(record, 'created'), held };
    });
  }

  /**
   * Lets the container's program run.
   * @throws {StrataError} INVALID_STATUS where it is not `created`; {SyscallError} where execve fails
   */
  start(id: string): void {
    span('oci.start', { 'container.id': id }, () => {
      const record = this.#store.read(id);
      const status = statusOf(record);
      if (status !== 'created') throw wrongStatus(id, 'start', status);
      const { pid } = record.init!;
      this.#begin(record, () => startArmedStub({ pid, ...programOf(record) }));
    });
  }

  /** Starts the program between its hooks; one that fails ends the container. */
  #begin(record: ContainerRecord, start: () => void): void {
    if (!record.hooks) {
      startProgram(start);
      return;
    }
    const { id, bundle, init, hooks, ociVersion, annotations } = record;
    const spec = { ociVersion, annotations };
    const state = { id, bundle, pid: init!.pid, status: 'running', spec };
    this.#orRelease(record, () => runStartContainerHooks(record));
    startProgram(start);
    if (poststartIsDecisive(ociVersion)) {
      this.#orRelease(record, () => runHooks(hooks.poststart, 'poststart', { state }));
    } else {
      runHooksWarning(hooks.poststart, 'poststart', { state, warn: this.#warn });
    }
  }

  #orRelease(record: ContainerRecord, action: () => void): void {
    try {
      action();
    } catch (error) {
      releaseContainer(this.#store, record, this.#warn);
      throw error;
    }
  }

  /** @throws {StrataError} NOT_FOUND */
  state(id: string): RuntimeState {
    const record = this.#store.read(id);
    return describe(record, statusOf(record));
  }

  /**
   * Sends a signal to the container's init, or with `all` to every process in it.
   * @throws {StrataError} NOT_RUNNING where it has ended
   */
  kill(id: string, signal: number, options: { all?: boolean } = {}): void {
    const record = this.#store.read(id);
    const status = statusOf(record);
    if (status === 'creating') throw wrongStatus(id, 'kill', status);
    if (status === 'stopped' && !options.all) {
      // The words that containerd's shim looks for.
      throw new StrataError('INVALID_STATUS', `container not running: ${id} is ${status}`);
    }
    signalContainer(record, signal, options.all ?? false);
  }

  /**
   * Stops all its processes where they are, until `resume`.
   * @throws {StrataError} INVALID_STATUS, NO_FREEZER, FREEZE_TIMEOUT
   */
  pause(id: string): void {
    span('oci.pause', { 'container.id': id }, () => {
      const record = this.#store.read(id);
      const status = statusOf(record);
      if (status !== 'running' && status !== 'created') throw wrongStatus(id, 'pause', status);
      Cgroup.open(record.cgroups).freeze();
    });
  }

  /** @throws {StrataError} INVALID_STATUS where it is not paused */
  resume(id: string): void {
    span('oci.resume', { 'container.id': id }, () => {
      const record = this.#store.read(id);
      const status = statusOf(record);
      if (status !== 'paused') throw wrongStatus(id, 'resume', status);
      Cgroup.open(record.cgroups).thaw();
    });
  }

  /**
   * Changes limits; what is not given stays as it is, as do the rules for devices.
   * @throws {StrataError} INVALID_STATUS, INTEL_RDT; CGROUP_LIMIT naming the field that is refused:
   *   nothing has changed then
   */
  update(id: string, change: LinuxResources, schemata: RdtSchemata = {}): Promise<void> {
    return span('oci.update', { 'container.id': id }, async () => {
      const record = this.#store.read(id);
      const status = statusOf(record);
      if (status === 'creating' || status === 'stopped') throw wrongStatus(id, 'update', status);
      const { updateContainer } = await import('./update-container.ts');
      const resources = await updateContainer(record, change, schemata);
      this.#store.write({ ...record, resources });
    });
  }

  /** Where the state of a container is, or would be. @throws {StrataError} INVALID_ID */
  directory(id: string): string {
    return this.#store.directory(id);
  }

  /** What its processes have used. */
  stats(id: string): CgroupStats {
    return Cgroup.open(this.#store.read(id).cgroups).stats();
  }

  /** Tells what happens to a container until it ends. */
  async *events(
    id: string,
    options: ContainerEventOptions = {},
  ): AsyncGenerator<ContainerEvent, void> {
    const record = this.#store.read(id);
    const { containerEvents } = await import('./container-events.ts');
    yield* containerEvents(record, options);
  }

  /** The ids of its processes as seen from here, those in cgroups below its own included. */
  processes(id: string): number[] {
    return processesOf(this.#store.read(id));
  }

  /**
   * Removes a stopped container; with `force` kills it first, and does not mind one that is not
   * there or only half made.
   * @returns the scope of systemd that it was in, if any, which is for the caller to stop
   */
  delete(id: string, options: { force?: boolean } = {}): string | undefined {
    const force = options.force ?? false;
    return span('oci.delete', { 'container.id': id }, () => this.#delete(id, force));
  }

  #delete(id: string, force: boolean): string | undefined {
    let record: ContainerRecord;
    try {
      record = this.#store.read(id);
    } catch (error) {
      if (!force || !(error instanceof StrataError)) throw error;
      if (error.code === 'CORRUPT_STATE' || error.code === 'NOT_FOUND') this.#store.remove(id);
      else throw error;
      return undefined;
    }
    const status = statusOf(record);
    if (!force && status !== 'stopped') throw wrongStatus(id, 'delete', status);
    const release = status === 'creating' ? releaseCreation : releaseContainer;
    release(this.#store, record, this.#warn);
    return record.scope;
  }

  /** Runs another process in a running container. */
  exec(options: ExecOptions): Executed {
    const { id, ignorePaused } = options;
    return span('oci.exec', { 'container.id': id }, () => {
      const record = this.#store.read(id);
      const status = statusOf(record);
      if (status === 'stopped' || status === 'creating' || (status === 'paused' && !ignorePaused)) {
        throw wrongStatus(id, 'exec', status);
      }
      return execInContainer(record, options);
    });
  }

  /**
   * All containers of this root, those that vanish meanwhile left out.
   * @param options.unreadable hears of those whose state is unreadable, which are left out then;
   *   without it that is an error
   */
  list(options: { unreadable?: (id: string, error: StrataError) => void } = {}): RuntimeState[] {
    return this.#store.ids().flatMap((id) => {
      try {
        return [this.state(id)];
      } catch (error) {
        if (!(error instanceof StrataError)) throw error;
        if (error.code === 'NOT_FOUND') return [];
        if (!options.unreadable || error.code !== 'CORRUPT_STATE') throw error;
        options.unreadable(id, error);
        return [];
      }
    });
  }
}

const programOf = ({ syncFd, finalCalls, executable }: ContainerRecord) => ({
  syncFd: syncFd!,
  calls: finalCalls as SyscallName[],
  executable,
});

function describe(record: ContainerRecord, status: Status): RuntimeState {
  const { ociVersion, id, init, bundle, annotations, rootfs, created, owner, keeper } = record;
  return {
    ociVersion,
    id,
    status,
    pid: status === 'stopped' ? 0 : (init?.pid ?? 0),
    bundle,
    annotations,
    rootfs,
    created,
    owner,
    startTime: init?.startTime ?? 0,
    ...(keeper && { keeperPid: keeper.pid, keeperStartTime: keeper.startTime }),
    cgroups: record.cgroups,
  };
}

function wrongStatus(id: string, verb: string, status: Status): StrataError {
  const message = `cannot ${verb} container ${id}: it is ${status}`;
  return new StrataError('INVALID_STATUS', message, { hint: HINTS[`${verb}:${status}`] });
}

const INTERRUPTED = 'its creation is under way or was interrupted; delete it with --force';
const ENDED = 'delete it and create it again';
const HINTS: Readonly<Record<string, string>> = {
  'start:creating': INTERRUPTED,
  'kill:creating': INTERRUPTED,
  'start:paused': 'resume it first',
  'start:stopped': ENDED,
  'pause:creating': INTERRUPTED,
  'pause:stopped': ENDED,
  'update:creating': INTERRUPTED,
  'update:stopped': ENDED,
  'exec:creating': INTERRUPTED,
  'exec:paused': 'resume it first; or with --ignore-paused the process waits for that',
  'exec:stopped': ENDED,
  'delete:creating': INTERRUPTED,
  'delete:created': 'kill it first, or use --force',
  'delete:running': 'stop it first, or use --force',
  'delete:paused': 'resume and stop it first, or use --force',
};
