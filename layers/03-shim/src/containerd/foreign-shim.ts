/**
 * A shim of somebody else, used as containerd uses it: any binary that speaks the shim API version 2,
 * such as containerd-shim-runc-v2.
 *
 *   using events = await EventListener.listen(socket, (event) => ...);
 *   const shim = await ForeignShim.launch({ runtime: 'io.containerd.runc.v2', id, bundle, ... });
 *   await shim.task.Create({ id, bundle, ...fifos.paths });
 *   await shim.task.Start({ id });
 *   const { exitStatus } = await shim.task.Wait({ id });
 *   await shim.task.Delete({ id });
 *   await shim.shutdown();
 *
 * What a successor of ours needs is in the bundle, under containerd's names: bootstrap.json,
 * shim-binary-path. `ForeignShim.reconnect` finds a shim by them.
 *
 * A shim that was killed has left the container as it was; `cleanUp` has its binary remove that. The
 * exit code is lost then (it says 137): that is what Strata's own shim is there to be better at.
 */
import {
  constants,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ECONNREFUSED, ENOENT, errnoOf, StrataError } from '@strata/namespaces';
import {
  type DeleteResponse,
  TASK_SERVICE,
  TASK_SERVICE_V3,
  taskCalls,
} from '../service/task-messages.ts';
import { type MethodType, TtrpcClient } from '../ttrpc/client.ts';
import type { Any } from '../ttrpc/envelope.ts';
import type { ValueOfMessage } from '../ttrpc/message.ts';
import { type Bootstrap, formatBootstrap, parseBootstrap, socketPath } from './bootstrap.ts';
import { makeFifo } from './fifos.ts';
import {
  deleteWithShim,
  findShimBinary,
  type ShimBinaryOptions,
  startShim,
} from './shim-binary.ts';

export interface LaunchOptions extends ShimBinaryOptions {
  /** For the shim itself; runc's takes containerd.runc.v1.Options. */
  options?: ValueOfMessage<typeof Any>;
  /** Hears what the shim prints of itself. */
  onLog?: (text: string) => void;
}

type Calls = ReturnType<typeof taskCalls>;
/** The 17 calls of the Task API, each a method. */
export type TaskClient = {
  [N in keyof Calls]: Calls[N] extends MethodType<infer Q, infer A>
    ? (request: Partial<Q>, options?: { timeoutMs?: number }) => Promise<A>
    : never;
};

const SHUTDOWN_MS = 3000;
/** A shim may listen a moment after `start` has ended. */
const CONNECT_MS = 10_000;

export class ForeignShim implements Disposable {
  readonly bootstrap: Bootstrap;
  readonly task: TaskClient;
  readonly #binary: ShimBinaryOptions;
  readonly #client: TtrpcClient;
  readonly #log: Socket | undefined;

  private constructor(parts: {
    binary: ShimBinaryOptions;
    bootstrap: Bootstrap;
    client: TtrpcClient;
    log: Socket | undefined;
  }) {
    this.#binary = parts.binary;
    this.bootstrap = parts.bootstrap;
    this.#client = parts.client;
    this.#log = parts.log;
    this.task = taskClient(parts.client, parts.bootstrap.version);
  }

  /**
   * Starts a shim for a container.
   * @throws {StrataError} NOT_FOUND, SHIM_FAILED, INVALID_SHIM, SHIM_NOT_STARTED
   */
  static async launch(options: LaunchOptions): Promise<ForeignShim> {
    const binary = { ...options, runtime: findShimBinary(options.runtime) };
    const { bundle, onLog } = options;
    const log = openLog(bundle, onLog);
    try {
      writeFileSync(join(bundle, 'shim-binary-path'), binary.runtime, { mode: 0o600 });
      const bootstrap = await startShim(binary, options.options);
      const path = join(bundle, 'bootstrap.json');
      writeFileSync(`${path}.new`, formatBootstrap(bootstrap, true), { mode: 0o600 });
      renameSync(`${path}.new`, path);
      const client = await connect(bootstrap, CONNECT_MS);
      return new ForeignShim({ binary, bootstrap, client, log });
    } catch (error) {
      log?.destroy();
      throw error;
    }
  }

  /**
   * Connects to the shim of a bundle that a predecessor of ours launched.
   * @throws {StrataError} NOT_FOUND where there is none; SHIM_NOT_STARTED where it does not listen:
   *   it was killed, and `cleanUpAfter` is next
   */
  static async reconnect(options: Omit<LaunchOptions, 'runtime'>): Promise<ForeignShim> {
    const { bundle, onLog } = options;
    const runtime = readFile(join(bundle, 'shim-binary-path'));
    // `address` is what shims for containerd up to 1.6 write themselves.
    const said = readFile(join(bundle, 'bootstrap.json')) ?? readFile(join(bundle, 'address'));
    if (runtime === undefined || said === undefined) {
      throw new StrataError('NOT_FOUND', `no shim was started in ${bundle}`, { path: bundle });
    }
    const bootstrap = parseBootstrap(said);
    const client = await connect(bootstrap, 0);
    const log = openLog(bundle, onLog);
    return new ForeignShim({ binary: { ...options, runtime }, bootstrap, client, log });
  }

  /** Calls back once, when the shim's side of the connection is gone: it was killed, or has ended. */
  onLost(callback: () => void): void {
    this.#client.onLost(callback);
  }

  /** Asks the shim to end, if this was its last container, and waits until it has gone. */
  async shutdown(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#client.onLost(resolve));
    try {
      await this.task.Shutdown({ id: this.#binary.id }, { timeoutMs: SHUTDOWN_MS });
      await Promise.race([gone, sleep(SHUTDOWN_MS, undefined, { ref: false })]);
    } catch (error) {
      if (!(error instanceof StrataError && error.code === 'CONNECTION_LOST')) throw error;
    }
    this[Symbol.dispose]();
  }

  /** After the death of the shim: has its binary remove what is left of the container. */
  async cleanUp(): Promise<ValueOfMessage<typeof DeleteResponse>> {
    this[Symbol.dispose]();
    const exit = await deleteWithShim(this.#binary);
    await removeStaleSocket(socketPath(this.bootstrap.address));
    return exit;
  }

  /** Lets go of the shim; it and its container go on. */
  [Symbol.dispose](): void {
    this.#client.close();
    this.#log?.destroy();
  }
}

function taskClient(client: TtrpcClient, version: 2 | 3): TaskClient {
  const calls = taskCalls(version === 3 ? TASK_SERVICE_V3 : TASK_SERVICE);
  const methods = Object.entries(calls).map(([name, method]) => [
    name,
    (request: object, options?: { timeoutMs?: number }) =>
      client.call(method as MethodType<object, unknown>, request, options),
  ]);
  return Object.fromEntries(methods) as TaskClient;
}

async function connect(bootstrap: Bootstrap, patienceMs: number): Promise<TtrpcClient> {
  const path = socketPath(bootstrap.address);
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      return await TtrpcClient.connect(path);
    } catch (cause) {
      if (Date.now() < deadline) {
        await sleep(10);
        continue;
      }
      const message = `no shim listens at ${bootstrap.address}`;
      throw new StrataError('SHIM_NOT_STARTED', message, { path, cause });
    }
  }
}

/** Removes a socket of the file system at which nobody listens: its owner was killed. */
async function removeStaleSocket(path: string): Promise<void> {
  if (path.startsWith('\0')) return;
  try {
    (await TtrpcClient.connect(path)).close();
  } catch (error) {
    if (errnoOf(error) === ECONNREFUSED) rmSync(path, { force: true });
  }
}

/** The FIFO that a shim writes what it has to say of itself to; it waits for us to open it. */
function openLog(bundle: string, onLog: ((text: string) => void) | undefined): Socket {
  const path = join(bundle, 'log');
  if (!existsSync(path)) makeFifo(path);
  // For both: a FIFO that only we have open must not look as if its writer had gone.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const log = new Socket({ fd, readable: true, writable: false });
  log.on('data', (chunk) => onLog?.(chunk.toString('utf8')));
  log.on('error', () => {});
  log.unref();
  return log;
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === ENOENT) return undefined;
    throw error;
  }
}
