/**
 * What the shim does for a container by itself: starts it again, checks its health, sees a stop
 * through. All of it is in the container's record, so it holds across a killed shim: the next one
 * goes on where this one was, delays and deadlines included.
 */
import { boottimeNs, realtimeNs, SIGKILL, StrataError } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { Container } from '../service/container.ts';
import { runExec } from '../service/execs.ts';
import type { World } from '../service/world.ts';
import { type Health, HealthMonitor, type HealthStatus } from './health.ts';
import { isToRestart, nextDelayMs } from './restart-policy.ts';

/** The name of the exec that a health check is. */
const HEALTH_EXEC = 'strata.health';
/** How a container that could not be started again has ended, as Docker has it. */
const START_ERROR = 128;
const NS_PER_MS = 1_000_000n;
/** Until a log that could not be finished is tried again. */
const LOG_RETRY_MS = 1000;

export interface StopOptions {
  signal: number;
  /** After this it is killed. */
  timeoutMs: number;
  requestId?: string | undefined;
}

export class Supervisor implements Disposable {
  readonly #world: World;
  readonly #container: Container;
  #restartTimer: NodeJS.Timeout | undefined;
  #stopTimer: NodeJS.Timeout | undefined;
  #startTimer: NodeJS.Timeout | undefined;
  #monitor: HealthMonitor | undefined;
  #oomWasTold = false;

  constructor(world: World, container: Container) {
    this.#world = world;
    this.#container = container;
  }

  /** Whether it has ended and will be started again. */
  get isRestarting(): boolean {
    return this.#restartTimer !== undefined;
  }

  get health(): Health | undefined {
    return this.#monitor?.health ?? this.#readHealth();
  }

  get oomWasTold(): boolean {
    return this.#oomWasTold;
  }

  #readHealth(): Health | undefined {
    const { record } = this.#container;
    return record.health && (this.#world.store.readHealth(record.id) as Health | undefined);
  }

  get #ranForMs(): number {
    const { startedAtNs } = this.#container.record;
    return startedAtNs === undefined ? 0 : msSince(BigInt(startedAtNs), boottimeNs());
  }

  /** Its processes ran out of memory, and the kernel has killed one. */
  oomHappened(): void {
    const { id, pid } = this.#container;
    this.#oomWasTold = true;
    this.#world.emit({ kind: 'oom', id, pid });
  }

  /** It was started: its health counts from now on. */
  started(): void {
    this.#oomWasTold = false;
    if (this.#container.record.health) this.#world.store.removeHealth(this.#container.id);
    this.#superviseHealth(undefined);
  }

  /** Goes on with what a predecessor was at. */
  resume(): void {
    const { record, init, isStarted } = this.#container;
    const { exit } = init;
    if (exit) return;
    if (isStarted) {
      this.#container.watchOom();
      this.#superviseHealth(this.#readHealth());
    }
    if (!record.stop) return;
    // It may have been killed before it could send it.
    this.#signal(record.stop.signal);
    this.#armStop(record.stop.deadlineNs);
  }

  #superviseHealth(before: Health | undefined): void {
    const { health, startTimeoutMs } = this.#container.record;
    if (!health) return;
    this.#endHealth();
    const run = (process: typeof health.process, timeoutMs: number) => {
      const request = { id: this.#container.id, execId: HEALTH_EXEC, process, timeoutMs };
      return runExec(this.#world, this.#container, request);
    };
    this.#monitor = new HealthMonitor(
      health,
      {
        run,
        ranForMs: () => this.#ranForMs,
        onResult: (result, status) => this.#checked(result, status),
      },
      before,
    );
    if (startTimeoutMs === undefined || before?.status === 'healthy') return;
    const remaining = Math.max(0, startTimeoutMs - this.#ranForMs);
    this.#startTimer = setTimeout(() => this.#notHealthyInTime(), remaining);
  }

  #checked(health: Health, before: HealthStatus): void {
    const { id, pid, record } = this.#container;
    if (health.status === 'healthy') clearTimeout(this.#startTimer);
    try {
      this.#world.store.writeHealth(id, health);
    } catch (error) {
      this.#world.trouble(`container ${id}: its health cannot be written`, error);
    }
    if (health.status === before) return;
    this.#world.emit({ kind: 'health', id, pid, health: health.status });
    if (health.status !== 'unhealthy' || record.health?.whenUnhealthy !== 'kill') return;
    this.#endHealth();
    this.#signal(SIGKILL, true);
  }

  #notHealthyInTime(): void {
    const { id, pid } = this.#container;
    this.#world.emit({ kind: 'start-timeout', id, pid });
    this.#endHealth();
    this.#signal(SIGKILL, true);
  }

  #endHealth(): void {
    clearTimeout(this.#startTimer);
    this.#monitor?.[Symbol.dispose]();
    this.#monitor = undefined;
  }

  /**
   * It has ended.
   * @returns after how long it is started again; undefined where it is not
   */
  exited(exit: ExitInfo): number | undefined {
    clearTimeout(this.#stopTimer);
    this.#endHealth();
    const { record } = this.#container;
    const { restart, restarts = 0, isStopped = false, delayMs = 0, isWanted = false } = record;
    if (!isWanted || !isToRestart(restart, { exit, restarts, isStopped })) return undefined;
    const startedAt = record.startedAtNs === undefined ? 0n : BigInt(record.startedAtNs);
    const endedAt = boottimeNs() - (realtimeNs() - exit.exitedAtNs);
    const delay = nextDelayMs({ beforeMs: delayMs, ranForMs: msSince(startedAt, endedAt) });
    record.delayMs = delay;
    // A successor counts from the exit, too.
    this.#restartIn(Math.min(delay, Math.max(0, delay - msSince(exit.exitedAtNs, realtimeNs()))));
    return delay;
  }

  #restartIn(delayMs: number): void {
    this.#restartTimer = setTimeout(() => this.#restart(), delayMs);
  }

  #restart(): void {
    const container = this.#container;
    if (!container.init.finishOutput()) {
      // Its last lines are not in the log yet, and would be lost.
      this.#restartIn(LOG_RETRY_MS);
      return;
    }
    this.#restartTimer = undefined;
    try {
      this.#world.remake(container);
    } catch (error) {
      this.#world.trouble(`container ${container.id} cannot be started again`, error);
      this.#couldNotRestart();
    }
  }

  #couldNotRestart(): void {
    const container = this.#container;
    const { restart, restarts = 0, delayMs = 0 } = container.record;
    const exit = { exitStatus: START_ERROR, exitedAtNs: realtimeNs(), oomKilled: false };
    if (isToRestart(restart, { exit, restarts, isStopped: false })) {
      container.record.delayMs = nextDelayMs({ beforeMs: delayMs, ranForMs: 0 });
      this.#restartIn(container.record.delayMs);
    } else container.failed(exit);
  }

  /** The creation of another init was interrupted, or failed: it is tried again. */
  restartNow(): void {
    this.#restartIn(0);
  }

  /**
   * Ends it, and does not start it again.
   * @throws {StrataError} INVALID_STATUS where it was not started
   */
  stop({ signal, timeoutMs, requestId }: StopOptions): Promise<ExitInfo> {
    const container = this.#container;
    const { record, status } = container;
    if (status === 'created') {
      throw new StrataError('INVALID_STATUS', `cannot stop container ${record.id}: it is created`, {
        hint: 'delete it',
      });
    }
    if (status === 'stopped') return container.wait();
    if (requestId !== undefined && record.stop?.request === requestId) return container.wait();
    record.isStopped = true;
    if (this.#restartTimer !== undefined) {
      this.#world.store.write(record);
      clearTimeout(this.#restartTimer);
      this.#restartTimer = undefined;
      container.settleFor(container.init.exit!);
      return container.wait();
    }
    const deadline = boottimeNs() + BigInt(Math.round(timeoutMs)) * NS_PER_MS;
    const earlier = record.stop && BigInt(record.stop.deadlineNs) < deadline;
    const deadlineNs = earlier ? record.stop!.deadlineNs : String(deadline);
    record.stop = { signal, deadlineNs, ...(requestId !== undefined && { request: requestId }) };
    // Written before it is sent: a successor sees it through.
    this.#world.store.write(record);
    this.#signal(signal);
    this.#armStop(deadlineNs);
    return container.wait();
  }

  #armStop(deadlineNs: string): void {
    clearTimeout(this.#stopTimer);
    const remaining = -msSince(BigInt(deadlineNs), boottimeNs());
    this.#stopTimer = setTimeout(() => this.#signal(SIGKILL, true), Math.max(0, remaining));
  }

  #signal(signal: number, all = false): void {
    const container = this.#container;
    try {
      // What is frozen would not hear of it.
      if (container.isFrozen) container.cgroup?.thaw();
      container.kill(signal, all);
    } catch (error) {
      // It has ended by itself just now.
      if (!(error instanceof StrataError) || !ENDED.has(error.code)) throw error;
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#stopTimer);
    this.#restartTimer = undefined;
    this.#endHealth();
  }
}

const ENDED = new Set(['NOT_RUNNING', 'INVALID_STATUS', 'NOT_FOUND']);

const msSince = (then: bigint, now: bigint): number => Number(now - then) / 1e6;
