/**
 * The shim behind a socket, with the interface of the shim itself.
 *
 *   const shim = await ShimClient.connectOrSpawn({ socket, state: '/run/strata' });
 *   await shim.create({ id: 'web', bundle, log: { path, format: 'cri' } });
 *
 * A shim that was killed is started again by the next call. Calls that change nothing (wait, state,
 * list, ...) are repeated then and their callers notice nothing; one that changes something fails
 * with CONNECTION_LOST if it was under way: whether it was done, `state` tells.
 */
import {
  type CgroupResources,
  type CgroupStats,
  StrataError,
  type WindowSize,
} from '@strata/namespaces';
import type { Attached, AttachOptions } from '../attach/attachment.ts';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { type MethodType, TtrpcClient } from '../ttrpc/client.ts';
import { AttachClient } from './attach-client.ts';
import type {
  AddExec,
  ContainerState,
  CreateContainer,
  ExecRequest,
  ExecResult,
  ExecState,
  ProcessInContainer,
  ProcessOptions,
  ShimApi,
  ShimEvent,
} from './shim-api.ts';
import { ShimCalls } from './shim-messages.ts';
import { eventOf, execStateOf, exitOf, stateOf, stdioMessage } from './shim-values.ts';
import { connectOrSpawn, type SpawnOptions } from './spawn-shim.ts';
import { Task } from './task-messages.ts';

/** A call that kills the shim each time must not be repeated for ever. */
const REPEATS = 100;

export class ShimClient implements ShimApi, Disposable {
  readonly #connect: () => Promise<TtrpcClient>;
  #connection: Promise<TtrpcClient> | undefined;
  #closed = false;

  private constructor(connect: () => Promise<TtrpcClient>) {
    this.#connect = connect;
  }

  /**
   * Connects to the shim of a state directory, which is started where there is none.
   * @throws {StrataError} SHIM_NOT_STARTED
   */
  static async connectOrSpawn(options: SpawnOptions): Promise<ShimClient> {
    const client = new ShimClient(() => connectOrSpawn(options));
    await client.#connected();
    return client;
  }

  /** Connects to a shim that is there. */
  static async connect(socket: string): Promise<ShimClient> {
    const client = new ShimClient(() => TtrpcClient.connect(socket));
    await client.#connected();
    return client;
  }

  /** The connection, made anew where it was lost; callers at the same time share the attempt. */
  async #connected(): Promise<TtrpcClient> {
    if (this.#closed) throw new StrataError('CONNECTION_LOST', 'this client is closed');
    this.#connection ??= this.#connect();
    const attempt = this.#connection;
    let client: TtrpcClient | undefined;
    try {
      client = await attempt;
    } finally {
      const isUsable = client && !client.isLost;
      if (!isUsable && this.#connection === attempt) this.#connection = undefined;
    }
    return client.isLost ? this.#connected() : client;
  }

  async #call<Q, A>(method: MethodType<Q, A>, request: Partial<Q>): Promise<A> {
    return (await this.#connected()).call(method, request);
  }

  /** As `#call`, for what may be asked twice. */
  #repeatable<Q, A>(method: MethodType<Q, A>, request: Partial<Q>): Promise<A> {
    return this.#repeat(() => this.#call(method, request));
  }

  /** Repeats what fails because the shim was killed meanwhile. */
  async #repeat<T>(attempt: () => Promise<T>): Promise<T> {
    for (let repeats = 0; ; repeats++) {
      try {
        return await attempt();
      } catch (error) {
        const isLost = error instanceof StrataError && error.code === 'CONNECTION_LOST';
        if (!isLost || this.#closed || repeats >= REPEATS) throw error;
      }
    }
  }

  async create(options: CreateContainer): Promise<{ pid: number }> {
    const { id, bundle, start = false } = options;
    return this.#call(ShimCalls.Create, { id, bundle, start, stdio: stdioMessage(options) });
  }

  async start(id: string): Promise<void> {
    await this.#call(Task.Start, { id });
  }

  async kill(id: string, signal: number, all = false): Promise<void> {
    await this.#call(Task.Kill, { id, signal, all });
  }

  async exec(request: ExecRequest): Promise<ExecResult> {
    const { id, execId, process, timeoutMs = 0 } = request;
    const client = await this.#connected();
    const stdout: Uint8Array[] = [];
    const stderr: Uint8Array[] = [];
    const answers = client.stream(ShimCalls.Exec, {
      id,
      execId,
      processJson: JSON.stringify(process),
      timeoutMs: BigInt(Math.ceil(timeoutMs)),
    });
    for await (const answer of answers) {
      if (answer.stdout.length > 0) stdout.push(answer.stdout);
      if (answer.stderr.length > 0) stderr.push(answer.stderr);
      if (!answer.exit) continue;
      const { exitStatus, truncated } = answer.exit;
      return {
        exitStatus,
        truncated,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr),
      };
    }
    throw new StrataError('CONNECTION_LOST', `exec ${execId} in ${id} was not answered`);
  }

  async wait(id: string): Promise<ExitInfo> {
    return exitOf(await this.#repeatable(ShimCalls.Wait, { id }))!;
  }

  async state(id: string): Promise<ContainerState> {
    return stateOf(await this.#repeatable(ShimCalls.State, { id }));
  }

  async list(): Promise<ContainerState[]> {
    return (await this.#repeatable(ShimCalls.List, {})).containers.map(stateOf);
  }

  async pids(id: string): Promise<number[]> {
    return (await this.#repeatable(Task.Pids, { id })).processes.map(({ pid }) => pid);
  }

  async processes(id: string): Promise<ProcessInContainer[]> {
    const { processes } = await this.#repeatable(ShimCalls.Processes, { id });
    return processes.map(({ pid, execId }) => (execId === '' ? { pid } : { pid, execId }));
  }

  async pause(id: string): Promise<void> {
    await this.#repeatable(ShimCalls.Pause, { id });
  }

  async resume(id: string): Promise<void> {
    await this.#repeatable(ShimCalls.Resume, { id });
  }

  async update(id: string, resources: CgroupResources): Promise<void> {
    const resourcesJson = JSON.stringify(resources);
    await this.#repeatable(ShimCalls.Update, { id, resourcesJson });
  }

  async stats(id: string): Promise<CgroupStats> {
    return JSON.parse((await this.#repeatable(ShimCalls.Stats, { id })).statsJson);
  }

  async addExec(request: AddExec): Promise<void> {
    const { id, execId, process } = request;
    const processJson = JSON.stringify(process);
    const stdio = stdioMessage(request);
    await this.#call(ShimCalls.AddExec, { id, execId, processJson, stdio });
  }

  async startExec(id: string, execId: string): Promise<{ pid: number }> {
    return this.#call(ShimCalls.StartExec, { id, execId });
  }

  async execState(id: string, execId: string): Promise<ExecState> {
    return execStateOf(await this.#repeatable(ShimCalls.ExecState, { id, execId }));
  }

  async listExecs(id: string): Promise<ExecState[]> {
    return (await this.#repeatable(ShimCalls.ListExecs, { id })).execs.map(execStateOf);
  }

  async killExec(id: string, execId: string, signal: number): Promise<void> {
    await this.#call(ShimCalls.KillExec, { id, execId, signal });
  }

  async waitExec(id: string, execId: string): Promise<ExitInfo> {
    return exitOf(await this.#repeatable(ShimCalls.WaitExec, { id, execId }))!;
  }

  async deleteExec(
    id: string,
    execId: string,
    options: { force?: boolean } = {},
  ): Promise<ExitInfo | undefined> {
    const { force = false } = options;
    return exitOf(await this.#call(ShimCalls.DeleteExec, { id, execId, force }));
  }

  async resize(id: string, size: WindowSize, options: ProcessOptions = {}): Promise<void> {
    const { execId = '' } = options;
    await this.#repeatable(ShimCalls.Resize, { id, execId, ...size });
  }

  async closeStdin(id: string, options: ProcessOptions = {}): Promise<void> {
    const { execId = '' } = options;
    await this.#repeatable(ShimCalls.CloseStdin, { id, execId });
  }

  /** On a connection of its own: an attachment that is not read must not hold up other calls. */
  attach(id: string, options: AttachOptions = {}): Promise<Attached> {
    return this.#repeat(async () => AttachClient.open(await this.#connect(), id, options));
  }

  async reopenLog(id: string): Promise<void> {
    await this.#repeatable(ShimCalls.ReopenLog, { id });
  }

  async delete(id: string, options: { force?: boolean } = {}): Promise<ExitInfo | undefined> {
    return exitOf(await this.#call(ShimCalls.Delete, { id, force: options.force ?? false }));
  }

  /** Process id of the shim that serves us now. */
  async shimPid(): Promise<number> {
    return (await this.#repeatable(Task.Connect, { id: '' })).shimPid;
  }

  /** Ends the shim; its containers go on. */
  async shutdown(): Promise<void> {
    await this.#call(Task.Shutdown, { now: true });
  }

  subscribe(listener: (event: ShimEvent) => void): () => void {
    const subscription = { ended: false };
    void this.#deliver(listener, subscription);
    return () => {
      subscription.ended = true;
    };
  }

  /** Passes on events; subscribes anew where the shim was replaced. */
  async #deliver(
    listener: (event: ShimEvent) => void,
    subscription: { ended: boolean },
  ): Promise<void> {
    while (!subscription.ended && !this.#closed) {
      try {
        const client = await this.#connected();
        for await (const message of client.stream(ShimCalls.Subscribe, {})) {
          if (subscription.ended) return;
          if (message.kind !== 'subscribed') listener(eventOf(message));
        }
      } catch (error) {
        // The connection is gone, and is made anew; a shim that cannot be started ends this.
        if (!(error instanceof StrataError) || error.code !== 'CONNECTION_LOST') return;
      }
    }
  }

  /** Keeps this process alive for the connection, or not. */
  async keepAlive(on: boolean): Promise<void> {
    (await this.#connected()).keepAlive(on);
  }

  close(): void {
    this.#closed = true;
    this.#connection?.then((client) => client.close()).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
