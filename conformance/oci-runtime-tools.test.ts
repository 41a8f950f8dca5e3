/** strata-oci under the validation programs of the OCI's runtime-tools; peers: see README.md. */
import { detectCgroups } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import { STRATA } from './src/oci/command.ts';
import { exceptionFor, unexplained } from './src/oci/exceptions.ts';
import { type Result, runProgram } from './src/oci/run-program.ts';
import { programNames } from './src/oci/runtime-tools.ts';
import { runSuite } from './src/oci/suite.ts';

const programs = programNames();

function whyNot(): string | undefined {
  if (programs.length === 0) return 'not built: npm run conformance -- oci --build';
  if (process.getuid?.() !== 0) return 'they need root';
  // The suite says of itself that cgroup v2 is not supported yet.
  return detectCgroups().mode === 'v2' ? 'they know cgroup v1 only' : undefined;
}

const reason = whyNot();

describe.skipIf(reason)(`the programs of runtime-tools${reason ? ` (${reason})` : ''}`, () => {
  let results: Map<string, Result>;

  test('all run', { timeout: 400_000 }, async () => {
    const all = await runSuite(programs, [STRATA]);
    results = new Map([...all].map(([program, byRuntime]) => [program, byRuntime.get('strata')!]));
    // They wait for their containers for so many seconds: on a busy machine that can be too short.
    for (const [program, result] of results) {
      if (unexplained(program, result).length === 0) continue;
      results.set(program, await runProgram(program, STRATA));
    }
    expect([...results.keys()]).toEqual(programs);
    expect(programs).toHaveLength(58);
  });

  test.each(programs)('%s', (program) => {
    const result = results.get(program)!;
    expect(unexplained(program, result)).toEqual([]);
    const exception = exceptionFor(program);
    if (!exception?.isRace) expect(result.passed).toBe(exception === undefined);
  });
});
