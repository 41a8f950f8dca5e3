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
import { StrataError } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { type MethodType, TtrpcClient } from '../ttrpc/client.ts';
import type {
  ContainerState,
  ContainerStatus,
  CreateContainer,
  ExecRequest,
  ExecResult,
  ShimApi,
  ShimEvent,
} from './shim-api.ts';
import { ShimCalls } from './shim-messages.ts';
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
  async #repeatable<Q, A>(method: MethodType<Q, A>, request: Partial<Q>): Promise<A> {
    for (let repeats = 0; ; repeats++) {
      try {
        return await this.#call(method, request);
      } catch (error) {
        const isLost = error instanceof StrataError && error.code === 'CONNECTION_LOST';
        if (!isLost || this.#closed || repeats >= REPEATS) throw error;
      }
    }
  }

  async create(options: CreateContainer): Promise<{ pid: number }> {
    const { id, bundle, terminal, log, stdio, start } = options;
    if (stdio) {
      const created = await this.#call(Task.Create, { id, bundle, ...stdio });
      if (start) await this.start(id);
      return created;
    }
    return this.#call(ShimCalls.Create, {
      id,
      bundle,
      ...(terminal !== undefined && { terminal }),
      ...(log && { logPath: log.path, logFormat: log.format }),
      ...(start && { start }),
    });
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
    return exitInfo(await this.#repeatable(ShimCalls.Wait, { id }))!;
  }

  async state(id: string): Promise<ContainerState> {
    return containerState(await this.#repeatable(ShimCalls.State, { id }));
  }

  async list(): Promise<ContainerState[]> {
    return (await this.#repeatable(ShimCalls.List, {})).containers.map(containerState);
  }

  async pids(id: string): Promise<number[]> {
    return (await this.#repeatable(Task.Pids, { id })).processes.map(({ pid }) => pid);
  }

  async reopenLog(id: string): Promise<void> {
    await this.#repeatable(ShimCalls.ReopenLog, { id });
  }

  async delete(id: string, options: { force?: boolean } = {}): Promise<ExitInfo | undefined> {
    return exitInfo(await this.#call(ShimCalls.Delete, { id, force: options.force ?? false }));
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
          const { kind, id, pid } = message;
          const exit = exitInfo(message.exit);
          if (kind === 'subscribed') continue;
          listener({ kind: kind as ShimEvent['kind'], id, pid, ...(exit && { exit }) });
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

type ExitMessage = ReturnType<typeof ShimCalls.Wait.response.decode>;

function exitInfo(message: ExitMessage | undefined): ExitInfo | undefined {
  if (!message?.exited) return undefined;
  const { exitStatus, exitedAtNs, oomKilled } = message;
  return { exitStatus, exitedAtNs, oomKilled };
}

function containerState(
  message: ReturnType<typeof ShimCalls.State.response.decode>,
): ContainerState {
  const { id, bundle, status, pid, terminal, logPath } = message;
  const exit = exitInfo(message.exit);
  return {
    id,
    bundle,
    status: status as ContainerStatus,
    pid,
    terminal,
    ...(logPath !== '' && { logPath }),
    ...(exit && { exit }),
  };
}
