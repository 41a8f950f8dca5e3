/**
 * `npm test [-- FILTER ...]`: runs vitest and closes with a line that a machine can read:
 *
 *   12 passed, 0 failed, 3 skipped
 *
 * A test file that cannot be loaded and an error outside any test count as failed.
 */
import { parseCLI, startVitest, type TestModule, type Vitest } from 'vitest/node';

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** Counts the tests of finished modules. */
export function tally(modules: readonly TestModule[], strayErrors: number): Tally {
  const count: Tally = { passed: 0, failed: strayErrors, skipped: 0 };
  for (const module of modules) {
    count.failed += module.errors().length;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      // A test that never ran, because of a file that failed or a run that was cut short.
      count[state === 'pending' ? 'failed' : state]++;
    }
  }
  return count;
}

async function runTests(args: readonly string[]): Promise<Tally> {
  const { filter, options } = parseCLI(['vitest', 'run', ...args]);
  const vitest: Vitest = await startVitest('test', filter, { ...options, watch: false });
  const { state } = vitest;
  const count = tally(state.getTestModules(), state.getUnhandledErrors().length);
  await vitest.close();
  return count;
}

if (import.meta.main) {
  const { passed, failed, skipped } = await runTests(process.argv.slice(2));
  if (failed > 0) process.exitCode = 1;
  if (passed + failed + skipped === 0) process.exitCode = 1;
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
}
