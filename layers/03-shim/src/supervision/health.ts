/**
 * Health checks: a process that is executed in the container again and again.
 *
 *   starting ──success──▶ healthy ◀──success── unhealthy
 *      └──────────── retries failures in a row ────▲
 *
 * Between the end of a check and the beginning of the next there is the interval. While the container
 * is within its start period, failures do not count and the interval is the start interval; the first
 * success ends that period. It is Docker's rule.
 *
 * A check that is not done in time is killed, with its group, and has failed. One whose shim is killed
 * is killed by the next shim, and does not count.
 *
 * @see https://docs.docker.com/reference/dockerfile/#healthcheck
 */
import { StrataError } from '@strata/namespaces';
import type { SpecProcess } from '@strata/oci-runtime';
import type { ExecResult } from '../service/shim-api.ts';

export interface HealthCheck {
  /** Exit status 0: healthy. */
  process: SpecProcess;
  /** Default: 30 s. */
  intervalMs?: number;
  /** Default: 30 s. */
  timeoutMs?: number;
  /** Failures in a row that make it unhealthy; default: 3. */
  retries?: number;
  /** Default: 0. */
  startPeriodMs?: number;
  /** Default: 5 s. */
  startIntervalMs?: number;
  /** `kill` it then, so that its restart policy counts; default: only tell. */
  whenUnhealthy?: 'tell' | 'kill';
}

export type HealthStatus = 'starting' | 'healthy' | 'unhealthy';

export interface HealthResult {
  endedAtMs: number;
  /** -1 where it was not done in time, or could not be started. */
  exitStatus: number;
  /** The beginning of what it printed, on both streams. */
  output: string;
}

export interface Health {
  status: HealthStatus;
  failuresInRow: number;
  /** The last ones, the latest at the end. */
  results: HealthResult[];
}

/** A day. */
const MOST_MS = 86_400_000;
const DEFAULTS = {
  intervalMs: 30_000,
  timeoutMs: 30_000,
  retries: 3,
  startPeriodMs: 0,
  startIntervalMs: 5000,
};
const KEPT_RESULTS = 5;
const KEPT_OUTPUT_BYTES = 4096;

/** @throws {StrataError} INVALID_ARGUMENT */
export function validateHealthCheck(check: HealthCheck): void {
  for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
    const value = check[name];
    if (value === undefined) continue;
    const least = name === 'startPeriodMs' ? 0 : 1;
    if (Number.isFinite(value) && value >= least && value <= MOST_MS) continue;
    const message = `health.${name}: ${value} is not a number from ${least} to ${MOST_MS}`;
    throw new StrataError('INVALID_ARGUMENT', message, { field: `health.${name}` });
  }
}

export interface HealthWorld {
  /** Runs a check to its end. @throws where it is not done in time, or could not be started */
  run(process: SpecProcess, timeoutMs: number): Promise<ExecResult>;
  /** How long the container has run. */
  ranForMs(): number;
  /** Hears of every result. */
  onResult(health: Health, before: HealthStatus): void;
}

export class HealthMonitor implements Disposable {
  readonly #check: HealthCheck & typeof DEFAULTS;
  readonly #world: HealthWorld;
  #health: Health;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** @param before what a predecessor has found out */
  constructor(check: HealthCheck, world: HealthWorld, before?: Health) {
    this.#check = { ...DEFAULTS, ...check };
    this.#world = world;
    this.#health = before ?? { status: 'starting', failuresInRow: 0, results: [] };
    this.#wait();
  }

  get health(): Health {
    return this.#health;
  }

  get #isStarting(): boolean {
    const { status } = this.#health;
    return status === 'starting' && this.#world.ranForMs() < this.#check.startPeriodMs;
  }

  #wait(): void {
    const { intervalMs, startIntervalMs } = this.#check;
    const delay = this.#isStarting ? startIntervalMs : intervalMs;
    this.#timer = setTimeout(() => void this.#run(), delay);
  }

  async #run(): Promise<void> {
    const result = await this.#result();
    if (this.#isOver) return;
    const before = this.#health.status;
    this.#health = this.#after(result);
    this.#wait();
    this.#world.onResult(this.#health, before);
  }

  async #result(): Promise<HealthResult> {
    const { process, timeoutMs } = this.#check;
    try {
      const { exitStatus, stdout, stderr } = await this.#world.run(process, timeoutMs);
      const output = Buffer.concat([stdout, stderr]).subarray(0, KEPT_OUTPUT_BYTES).toString();
      return { endedAtMs: Date.now(), exitStatus, output };
    } catch (error) {
      const output = error instanceof Error ? error.message : String(error);
      return { endedAtMs: Date.now(), exitStatus: -1, output };
    }
  }

  #after(result: HealthResult): Health {
    const results = [...this.#health.results, result].slice(-KEPT_RESULTS);
    if (result.exitStatus === 0) return { status: 'healthy', failuresInRow: 0, results };
    const failuresInRow = this.#isStarting ? 0 : this.#health.failuresInRow + 1;
    const isUnhealthy = failuresInRow >= this.#check.retries;
    return { status: isUnhealthy ? 'unhealthy' : this.#health.status, failuresInRow, results };
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }
}
