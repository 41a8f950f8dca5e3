/**
 * Containers: from an image to a process and back to nothing.
 *
 *   create   row (takes the name) ─ root file system ─ user ─ config.json        no process yet
 *   start    shim.create ─ (address) ─ shim.start
 *   exit     noticed by the shim; written into the row by whoever asks first, then freed in the shim
 *   remove   kill ─ shim.delete ─ unmount ─ files ─ row
 *
 * The row is written before anything else is made and deleted after everything else has gone, so a
 * process killed in between leaves a row that says what to undo (see recover.ts).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseSignal, SIGKILL, StrataError, span } from '@strata/namespaces';
import type { ShimApi } from '@strata/shim';
import type { ManagerContext } from '../manager/context.ts';
import { findId, newId, nowNs } from '../manager/identity.ts';
import type { ContainersApi, ExecOutcome, ExecRequest } from '../manager/manager-api.ts';
import type { PodJoining } from '../pods/pods.ts';
import { containerSpec } from '../spec/container-spec.ts';
import { writeEtcFiles } from '../spec/etc-files.ts';
import { resolveUser } from '../spec/user.ts';
import type { ContainerConfig, ContainerStatus } from './container-config.ts';
import { type ContainerRow, ContainerTable, statusOfRow } from './container-table.ts';
import { execProcess } from './exec-process.ts';
import { validateContainerConfig } from './validate-config.ts';

type ExitInfo = Awaited<ReturnType<ShimApi['wait']>>;

const START_ERROR = 128;
/** How a container that nobody could watch has ended, as containerd reports it. */
const UNKNOWN_EXIT = 255;

export class Containers implements ContainersApi {
  readonly #context: ManagerContext;
  readonly #table: ContainerTable;
  readonly #joinPod: (podId: string) => PodJoining;

  constructor(context: ManagerContext, joinPod: (podId: string) => PodJoining) {
    this.#context = context;
    this.#table = new ContainerTable(context.database);
    this.#joinPod = joinPod;
  }

  async create(config: ContainerConfig): Promise<ContainerStatus> {
    validateContainerConfig(config);
    const { images } = this.#context;
    const image = images.status(config.image);
    if (!image) {
      throw new StrataError('IMAGE_NOT_FOUND', `image ${config.image} is not in the store`, {
        field: 'image',
        hint: 'pull it first, or make one: strata image from-host',
      });
    }
    const id = newId();
    return span(
      'container.create',
      { 'container.id': id, 'container.image': config.image },
      async () => {
        const pod = config.podId === undefined ? undefined : this.#joinPod(config.podId);
        const full = pod ? { ...config, podId: pod.id } : config;
        this.#table.insert({
          id,
          name: config.name ?? id,
          podId: pod?.id,
          config: full,
          imageId: image.id,
          logPath: config.logPath ?? `${this.#directory(id)}/container.log`,
          stopSignal: config.stopSignal || image.config.stopSignal,
        });
        try {
          await this.#prepare(id, full, pod);
          this.#table.transition(id, ['creating'], 'created');
          return statusOfRow(this.#row(id));
        } catch (error) {
          await this.#dispose(this.#row(id));
          throw error;
        }
      },
    );
  }

  /** Makes the root file system and the bundle. */
  async #prepare(id: string, config: ContainerConfig, pod: PodJoining | undefined): Promise<void> {
    const { images, cgroupParent } = this.#context;
    const directory = this.#directory(id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const rootfs = await span('container.rootfs', {}, () => images.prepareRootfs(id, config.image));
    span('container.mount', {}, () => rootfs.mount());
    const image = images.status(config.image)!.config;
    const user = resolveUser(rootfs.target, config.user || image.user);
    this.#table.setUser(id, user);
    const hostname = config.hostname ?? pod?.hostname ?? id.slice(0, 12);
    const etc = pod?.etc ?? writeEtcFiles(directory, { hostname, ips: [] });
    const spec = containerSpec({
      id,
      config,
      image,
      user,
      rootfs: rootfs.target,
      hostname,
      etc,
      cgroupsPath: `${pod?.cgroupParent ?? cgroupParent}/${id}`,
      pod,
    });
    writeFileSync(`${directory}/config.json`, JSON.stringify(spec), { mode: 0o600 });
  }

  async start(id: string): Promise<void> {
    const row = this.#row(this.#find(id));
    if (!this.#table.transition(row.id, ['created'], 'starting')) {
      const { state } = statusOfRow(this.#row(row.id));
      throw new StrataError('INVALID_STATUS', `cannot start container ${row.id}: it is ${state}`, {
        hint: 'a container is started once; create another one',
      });
    }
    await span('container.start', { 'container.id': row.id }, () => this.#start(row));
  }

  async #start(row: ContainerRow): Promise<void> {
    const { id } = row;
    const config = JSON.parse(row.config) as ContainerConfig;
    const shim = await this.#context.shim();
    try {
      mkdirSync(dirname(row.log_path), { recursive: true, mode: 0o755 });
      // A pod's container needs nothing more between its creation and its start.
      const startsAtOnce = !hasOwnAddress(row, config);
      // Taken before: a short program has ended when the shim answers.
      let startedAt = nowNs();
      const { pid } = await shim.create({
        id,
        bundle: this.#directory(id),
        log: { path: row.log_path, format: 'cri' },
        terminal: config.terminal ?? false,
        start: startsAtOnce,
      });
      if (!startsAtOnce) {
        this.#table.setPid(id, pid);
        await this.#attachNetwork(id, config, pid);
        startedAt = nowNs();
        await shim.start(id);
      }
      this.#table.started(id, { pid, startedAt });
    } catch (error) {
      await shim.delete(id, { force: true }).catch(ignoreMissing);
      await this.#detachNetwork(row);
      const message = error instanceof Error ? error.message : String(error);
      const ending = { exitCode: START_ERROR, finishedAt: nowNs(), reason: 'StartError', message };
      this.#table.ended(id, ending);
      throw error;
    }
  }

  async #attachNetwork(id: string, config: ContainerConfig, pid: number): Promise<void> {
    const { addresses } = await this.#context.networks().attach({ containerId: id, pid });
    const ips = addresses.map(({ address }) => address);
    writeEtcFiles(this.#directory(id), { hostname: config.hostname ?? id.slice(0, 12), ips });
  }

  async stop(id: string, graceSeconds: number): Promise<void> {
    const row = this.#row(this.#find(id));
    await span('container.stop', { 'container.id': row.id }, async () => {
      if (row.phase !== 'running' && row.phase !== 'starting') return;
      const shim = await this.#context.shim();
      const ended = shim.wait(row.id).catch((error) => missingExit(error));
      const signal = graceSeconds > 0 ? parseSignal(row.stop_signal || 'SIGTERM') : SIGKILL;
      await shim.kill(row.id, signal).catch(ignoreEnded);
      let exit = await within(ended, graceSeconds > 0 ? graceSeconds * 1000 : 0);
      if (!exit) {
        await shim.kill(row.id, SIGKILL, true).catch(ignoreEnded);
        exit = await ended;
      }
      await this.#harvest(row, exit);
    });
  }

  async kill(id: string, signal: number): Promise<void> {
    const row = this.#row(this.#find(id));
    const shim = await this.#context.shim();
    await shim.kill(row.id, signal);
  }

  async remove(id: string): Promise<void> {
    const found = this.#findIfThere(id);
    if (found === undefined) return;
    await span('container.remove', { 'container.id': found }, async () => {
      await this.stop(found, 0);
      const row = this.#table.get(found);
      if (!row) return;
      this.#table.transition(found, ['created', 'exited', 'creating', 'starting'], 'removing');
      const isUnstarted = row.phase === 'created' && this.#table.get(found)?.pid === 0;
      // Else another process may have started it since the row was read: the shim is asked.
      await this.#dispose(isUnstarted ? row : { ...row, phase: 'removing' });
    });
  }

  /** Ends whatever there is of a container, in reverse of its making; nothing may be missing. */
  async #dispose(row: ContainerRow): Promise<void> {
    const { id } = row;
    if (row.phase !== 'creating' && row.phase !== 'created') {
      const shim = await this.#context.shim();
      await shim.delete(id, { force: true }).catch(ignoreMissing);
    }
    await this.#detachNetwork(row);
    this.#context.images.releaseRootfs(id);
    rmSync(this.#directory(id), { recursive: true, force: true });
    this.#table.delete(id);
  }

  async status(id: string): Promise<ContainerStatus> {
    const row = this.#row(this.#find(id));
    if (row.phase !== 'running') return statusOfRow(row);
    const shim = await this.#context.shim();
    const state = await shim.state(row.id).catch((error) => missing(error));
    if (!state) await this.#harvest(row, undefined);
    else if (state.exit) await this.#harvest(row, state.exit);
    return statusOfRow(this.#row(row.id));
  }

  async list(): Promise<ContainerStatus[]> {
    const rows = this.#table.all();
    if (rows.some(({ phase }) => phase === 'running')) {
      const shim = await this.#context.shim();
      const states = new Map((await shim.list()).map((state) => [state.id, state]));
      for (const row of rows) {
        const state = states.get(row.id);
        if (row.phase === 'running' && (!state || state.exit))
          await this.#harvest(row, state?.exit);
      }
    }
    return this.#table.all().map(statusOfRow);
  }

  async wait(id: string): Promise<number> {
    const row = this.#row(this.#find(id));
    if (row.phase === 'creating' || row.phase === 'created') {
      throw new StrataError(
        'INVALID_STATUS',
        `cannot wait for container ${row.id}: it is ${row.phase}`,
        {
          hint: 'start it first',
        },
      );
    }
    if (row.phase === 'running' || row.phase === 'starting') {
      const shim = await this.#context.shim();
      await this.#harvest(row, await shim.wait(row.id).catch((error) => missingExit(error)));
    }
    return this.#row(row.id).exit_code;
  }

  async execSync(id: string, request: ExecRequest): Promise<ExecOutcome> {
    const row = this.#row(this.#find(id));
    const { state } = await this.status(row.id);
    if (state !== 'running') {
      throw new StrataError('INVALID_STATUS', `cannot exec in container ${row.id}: it is ${state}`);
    }
    return span('container.exec', { 'container.id': row.id }, async () => {
      const shim = await this.#context.shim();
      const { timeoutMs } = request;
      const rootfs = this.#context.images.findRootfs(row.id)!.target;
      return shim.exec({
        id: row.id,
        execId: newId(),
        process: execProcess(`${this.#directory(row.id)}/config.json`, rootfs, request),
        ...(timeoutMs !== undefined && { timeoutMs }),
      });
    });
  }

  async reopenLog(id: string): Promise<void> {
    const row = this.#row(this.#find(id));
    await (await this.#context.shim()).reopenLog(row.id);
  }

  /** Ids of the containers of a pod. */
  idsOfPod(podId: string): string[] {
    return this.#table.ofPod(podId).map(({ id }) => id);
  }

  /** Writes an exit into the row and frees the shim's part of it. */
  async #harvest(row: ContainerRow, exit: ExitInfo | undefined): Promise<void> {
    const exitCode = exit?.exitStatus ?? UNKNOWN_EXIT;
    const reason = exit?.oomKilled ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error';
    const finishedAt = exit?.exitedAtNs ?? nowNs();
    this.#table.ended(row.id, {
      exitCode,
      finishedAt,
      reason: exit ? reason : 'Unknown',
      ...(!exit && { message: 'its keeper was killed, or the machine was restarted' }),
    });
    const shim = await this.#context.shim();
    await shim.delete(row.id, { force: true }).catch(ignoreMissing);
    await this.#detachNetwork(row);
  }

  async #detachNetwork(row: ContainerRow): Promise<void> {
    const config = JSON.parse(row.config) as ContainerConfig;
    if (!hasOwnAddress(row, config) || row.phase === 'creating' || row.phase === 'created') return;
    await this.#context.networks().detach({ containerId: row.id, namespaceEnds: true });
  }

  /** Undoes or completes what a process that has ended was at. @returns whether it had to */
  async recover(row: ContainerRow): Promise<void> {
    if (row.phase === 'starting') {
      const shim = await this.#context.shim();
      const state = await shim.state(row.id).catch((error) => missing(error));
      if (state?.status === 'running') {
        this.#table.started(row.id, { pid: state.pid, startedAt: nowNs() });
        return;
      }
      await this.#harvest(row, state?.exit);
      return;
    }
    await this.#dispose({ ...row, phase: 'removing' });
  }

  /** Rows that some process was at. */
  unfinished(): ContainerRow[] {
    const isUnfinished = ({ phase }: ContainerRow): boolean =>
      phase === 'creating' || phase === 'starting' || phase === 'removing';
    return this.#table.all().filter(isUnfinished);
  }

  #directory(id: string): string {
    return `${this.#context.state}/containers/${id}`;
  }

  #find(text: string): string {
    return findId(this.#context.database, 'containers', text, 'name');
  }

  #findIfThere(text: string): string | undefined {
    try {
      return this.#find(text);
    } catch (error) {
      if (error instanceof StrataError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  #row(id: string): ContainerRow {
    const row = this.#table.get(id);
    if (!row) throw new StrataError('NOT_FOUND', `container ${id} does not exist`);
    return row;
  }
}

/** Containers of pods share the pod's; 'host' and 'none' have none. */
function hasOwnAddress(row: ContainerRow, config: ContainerConfig): boolean {
  return row.pod_id === null && (config.network ?? 'bridge') === 'bridge';
}

const isMissing = (error: unknown): boolean =>
  error instanceof StrataError && (error.code === 'NOT_FOUND' || error.code === 'NOT_RUNNING');

/** The shim does not know it (any more): there is nothing left to do. */
function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

/** It ended by itself just before the signal came. */
function ignoreEnded(error: unknown): void {
  if (!(error instanceof StrataError && error.code === 'INVALID_STATUS')) ignoreMissing(error);
}

function missing(error: unknown): undefined {
  ignoreMissing(error);
  return undefined;
}

const missingExit: (error: unknown) => ExitInfo | undefined = missing;

/** The value, or undefined when `milliseconds` have passed first. */
async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.max(milliseconds, KILL_PATIENCE_MS));
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** A process that got SIGKILL is normally gone at once; then its whole cgroup is killed. */
const KILL_PATIENCE_MS = 1000;
