/**
 * Waiting for the kernel within a synchronous call: for exits that are under way, for a freezer.
 *
 * The thread sleeps between the tries, each pause twice the last: 50 µs, 100 µs, ... 10 ms. Most of
 * what is waited for here takes one or two of them.
 */
import { monotonicMs } from '../syscalls/monotonic.ts';

const FIRST_PAUSE_MS = 0.05;
const LONGEST_PAUSE_MS = 10;

const never = new Int32Array(new SharedArrayBuffer(4));

export class Patience {
  readonly #deadlineMs: number;
  #pauseMs = FIRST_PAUSE_MS;

  /** @param limitMs how long all pauses may take together */
  constructor(limitMs: number) {
    this.#deadlineMs = monotonicMs() + limitMs;
  }

  /** Whether the time is up. */
  get isOver(): boolean {
    return performance.now() >= this.#deadlineMs;
  }

  /** Sleeps; false, without sleeping, when the time is up. */
  pause(): boolean {
    const leftMs = this.#deadlineMs - monotonicMs();
    if (leftMs <= 0) return false;
    Atomics.wait(never, 0, 0, Math.min(this.#pauseMs, leftMs));
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    return true;
  }

  /** After some progress: the next pauses are short again. */
  refresh(): void {
    this.#pauseMs = FIRST_PAUSE_MS;
  }
}
