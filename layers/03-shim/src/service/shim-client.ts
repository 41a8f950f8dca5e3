/**
 * The shim behind a socket, with the interface of the shim itself.
 *
 *   const shim = await ShimClient.connectOrSpawn({ socket, state: '/run/strata' });
 *   await shim.create({ id: 'web', bundle, log: { path, format: 'cri' } });
 *
 * A shim that was killed is started again by the next call, and calls that were under way are
 * repeated; their callers notice nothing. Those that change something carry an id, by which the next
 * shim knows what was done already (it is in the container's record). Two are different: an `exec`
 * that is run to its end fails with CONNECTION_LOST, for what it does cannot be done twice (`addExec`
 * and `startExec` can be relied upon), and attachments end with the reason `gone`.
 */
import { randomUUID } from 'node:crypto';
import { type CgroupStats, SIGTERM, StrataError, type WindowSize } from '@strata/namespaces';
import type { LinuxResources } from '@strata/oci-runtime';
import type { Attached, AttachOptions } from '../attach/attachment.ts';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { type MethodType, TtrpcClient } from '../ttrpc/client.ts';
import { AttachClient } from './attach-client.ts';
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
import { ShimCalls } from './shim-messages.ts';
import {
  createMessage,
  eventOf,
  execStateOf,
  exitOf,
  stateOf,
  stdioMessage,
} from './shim-values.ts';
import { connectOrSpawn, type SpawnOptions } from './spawn-shim.ts';
import { Task } from './task-messages.ts';

/** A call that kills the shim each time must not be repeated for ever. */
const REPEATS = 100;
/** Docker's. */
const STOP_TIMEOUT_MS = 10_000;
const ENDED = new Set(['INVALID_STATUS', 'NOT_RUNNING']);

interface Subscription {
  listener: (event: ShimEvent) => void;
  onGap: (() => void) | undefined;
  isOver: boolean;
  connection: TtrpcClient | undefined;
}

export class ShimClient implements ShimApi, Disposable {
  readonly #connect: () => Promise<TtrpcClient>;
  #connection: Promise<TtrpcClient> | undefined;
  #closed = false;
  readonly #subscriptions = new Set<Subscription>();

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

  /**
   * As `#repeatable`, for what changes something: the shim knows by the request's id what it has done
   * already.
   */
  #change<Q extends { requestId: string }, A>(
    method: MethodType<Q, A>,
    request: Omit<Partial<Q>, 'requestId'>,
    { requestId = randomUUID() }: Repeatable = {},
  ): Promise<A> {
    return this.#repeatable(method, { ...request, requestId } as Partial<Q>);
  }

  /** As `#change`. That there is nothing any more is what was asked for, when it is asked again. */
  async #remove(
    method: typeof ShimCalls.Delete,
    request: { id: string; execId?: string; force: boolean },
    { requestId = randomUUID() }: Repeatable,
  ): Promise<ExitInfo | undefined> {
    let attempts = 0;
    try {
      return await this.#repeat(async () => {
        attempts++;
        return exitOf(await this.#call(method, { ...request, requestId }));
      });
    } catch (error) {
      const isGone = error instanceof StrataError && error.code === 'NOT_FOUND';
      if (isGone && attempts > 1) return undefined;
      throw error;
    }
  }

  async create(options: CreateContainer): Promise<{ pid: number }> {
    return this.#change(ShimCalls.Create, createMessage(options), options);
  }

  async start(id: string, options: Repeatable = {}): Promise<void> {
    await this.#change(ShimCalls.Start, { id }, options);
  }

  async kill(id: string, signal: number, all = false, options: Repeatable = {}): Promise<void> {
    const request = { id, signal, all, requestId: options.requestId ?? randomUUID() };
    await this.#signal(() => this.#call(ShimCalls.Kill, request));
  }

  /** Sends a signal. What has ended when it is asked again may have ended of the first one. */
  async #signal(send: () => Promise<unknown>): Promise<void> {
    let attempts = 0;
    try {
      await this.#repeat(() => {
        attempts++;
        return send();
      });
    } catch (error) {
      const hasEnded = error instanceof StrataError && ENDED.has(error.code);
      if (!hasEnded || attempts === 1) throw error;
    }
  }

  async stop(id: string, options: StopContainer = {}): Promise<ExitInfo> {
    const { signal = SIGTERM, timeoutMs = STOP_TIMEOUT_MS } = options;
    const request = { id, signal, timeoutMs: BigInt(Math.round(timeoutMs)) };
    return exitOf(await this.#change(ShimCalls.Stop, request, options))!;
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

  async update(id: string, resources: LinuxResources): Promise<void> {
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
    await this.#change(ShimCalls.AddExec, { id, execId, processJson, stdio }, request);
  }

  async startExec(id: string, execId: string, options: Repeatable = {}): Promise<{ pid: number }> {
    return this.#change(ShimCalls.StartExec, { id, execId }, options);
  }

  async execState(id: string, execId: string): Promise<ExecState> {
    return execStateOf(await this.#repeatable(ShimCalls.ExecState, { id, execId }));
  }

  async listExecs(id: string): Promise<ExecState[]> {
    return (await this.#repeatable(ShimCalls.ListExecs, { id })).execs.map(execStateOf);
  }

  async killExec(id: string, execId: string, signal: number, options: Repeatable = {}) {
    const request = { id, execId, signal, requestId: options.requestId ?? randomUUID() };
    await this.#signal(() => this.#call(ShimCalls.KillExec, request));
  }

  async waitExec(id: string, execId: string): Promise<ExitInfo> {
    return exitOf(await this.#repeatable(ShimCalls.WaitExec, { id, execId }))!;
  }

  deleteExec(
    id: string,
    execId: string,
    options: DeleteOptions = {},
  ): Promise<ExitInfo | undefined> {
    const { force = false } = options;
    return this.#remove(ShimCalls.DeleteExec, { id, execId, force }, options);
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

  delete(id: string, options: DeleteOptions = {}): Promise<ExitInfo | undefined> {
    const { force = false } = options;
    return this.#remove(ShimCalls.Delete, { id, force }, options);
  }

  /** Process id of the shim that serves us now. */
  async shimPid(): Promise<number> {
    return (await this.#repeatable(Task.Connect, { id: '' })).shimPid;
  }

  /** Ends the shim; its containers go on. */
  async shutdown(): Promise<void> {
    await this.#call(Task.Shutdown, { now: true });
  }

  subscribe(listener: (event: ShimEvent) => void, onGap?: () => void): () => void {
    const subscription: Subscription = { listener, onGap, isOver: false, connection: undefined };
    this.#subscriptions.add(subscription);
    void this.#deliver(subscription).finally(() => this.#subscriptions.delete(subscription));
    return () => {
      subscription.isOver = true;
      subscription.connection?.close();
    };
  }

  /** Passes on events, on a connection of its own; subscribes anew where the shim was replaced. */
  async #deliver(subscription: Subscription): Promise<void> {
    for (let isFirst = true; !subscription.isOver && !this.#closed; isFirst = false) {
      try {
        await this.#deliverOnce(subscription, isFirst);
      } catch (error) {
        const code = error instanceof StrataError ? error.code : undefined;
        // A shim that cannot be started ends this.
        if (code !== 'CONNECTION_LOST' && code !== 'EVENTS_LOST') return;
      } finally {
        subscription.connection?.close();
      }
    }
  }

  async #deliverOnce(subscription: Subscription, isFirst: boolean): Promise<void> {
    subscription.connection = await this.#connect();
    for await (const message of subscription.connection.stream(ShimCalls.Subscribe, {})) {
      if (subscription.isOver || this.#closed) return;
      if (message.kind !== 'subscribed') subscription.listener(eventOf(message));
      else if (!isFirst) subscription.onGap?.();
    }
  }

  /** Keeps this process alive for the connection, or not. */
  async keepAlive(on: boolean): Promise<void> {
    (await this.#connected()).keepAlive(on);
  }

  close(): void {
    this.#closed = true;
    for (const { connection } of this.#subscriptions) connection?.close();
    this.#connection?.then((client) => client.close()).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
