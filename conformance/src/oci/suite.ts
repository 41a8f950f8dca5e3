/** All programs with all runtimes, several at a time: each has a place of its own. */
import { availableParallelism } from 'node:os';
import { type Result, type RuntimeUnderTest, runProgram } from './run-program.ts';

/** They wait more than they work: kill, delete and pidfile for ten seconds and more. */
const AT_ONCE = 3 * availableParallelism();
const FIRST = ['delete', 'pidfile', 'kill'];

/** Program → runtime → what came of it. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, Result>>;

/**
 * @param options.onResult hears of each as it ends
 * @param options.signal ends those that are running, and the promise with an AbortError
 */
export async function runSuite(
  programs: readonly string[],
  runtimes: readonly RuntimeUnderTest[],
  options: { onResult?: (result: Result) => void; signal?: AbortSignal } = {},
): Promise<Results> {
  const slowFirst = [
    ...programs.filter((name) => FIRST.includes(name)),
    ...programs.filter((name) => !FIRST.includes(name)),
  ];
  const waiting = slowFirst.flatMap((program) => runtimes.map((runtime) => ({ program, runtime })));
  const results = new Map(programs.map((name) => [name, new Map<string, Result>()]));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      options.signal?.throwIfAborted();
      const result = await runProgram(next.program, next.runtime, options.signal);
      results.get(next.program)!.set(next.runtime.name, result);
      options.onResult?.(result);
    }
  };
  // All of them, so that each place is removed where one fails.
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return results;
}
