/**
 * Paired measurement: in each round every contender runs once, in an order that rotates.
 *
 *   round 1:  A B C      A machine that slows down, or a neighbour that wakes up, hits all of
 *   round 2:  B C A      them alike; so the ratios of medians hold where absolute times do not.
 *   round 3:  C A B
 */
import { setImmediate } from 'node:timers/promises';
import { median } from './statistics.ts';

/** One of the things that are compared. */
export interface Contender {
  readonly name: string;
  /**
   * Does it once and returns what it measured, in milliseconds where it is a time; or returns
   * nothing, and the time of the call counts.
   */
  run(): number | undefined | Promise<number | undefined>;
}

export interface Measured {
  readonly name: string;
  readonly samples: readonly number[];
  readonly median: number;
}

/** Why a contender could not be measured. */
export interface Unmeasured {
  readonly name: string;
  readonly unmeasured: string;
}

export type Outcome = Measured | Unmeasured;

export const isMeasured = (outcome: Outcome): outcome is Measured => 'samples' in outcome;

export interface Rounds {
  readonly samples: number;
  readonly warmUp: number;
  /**
   * How often each contender runs in its turn, of which the mean is a sample: with 1, a contender in
   * this process is always measured just after others have emptied the processor's caches.
   */
  readonly inRow?: number;
}

/** Aborted, it ends the measurement with its reason; what was made for it is then cleaned up. */
export const interruption = new AbortController();

/** Runs all contenders; one that throws is out from then on, and its error is the reason. */
export async function measurePaired(
  contenders: readonly Contender[],
  { samples, warmUp, inRow = 1 }: Rounds,
): Promise<Outcome[]> {
  const taken = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  const failed = new Map<string, string>();
  for (let round = 0; round < warmUp + samples; round++) {
    // Contenders may be synchronous through and through: here is where a signal is heard of.
    await setImmediate();
    interruption.signal.throwIfAborted();
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(round + turn) % contenders.length]!;
      if (failed.has(contender.name)) continue;
      try {
        const value = await meanOf(contender, inRow);
        if (round >= warmUp) taken.get(contender.name)!.push(value);
      } catch (error) {
        failed.set(contender.name, error instanceof Error ? error.message : String(error));
      }
    }
  }
  return contenders.map(({ name }) => {
    const unmeasured = failed.get(name);
    if (unmeasured !== undefined) return { name, unmeasured };
    const values = taken.get(name)!;
    return { name, samples: values, median: median(values) };
  });
}

async function meanOf(contender: Contender, times: number): Promise<number> {
  let sum = 0;
  for (let time = 0; time < times; time++) sum += await timeOnce(contender);
  return sum / times;
}

async function timeOnce(contender: Contender): Promise<number> {
  const began = process.hrtime.bigint();
  const returned = contender.run();
  // An await would add a turn of the event loop to what is synchronous.
  const measured = returned instanceof Promise ? await returned : returned;
  const elapsed = Number(process.hrtime.bigint() - began) / 1e6;
  return measured ?? elapsed;
}
