/**
 * npm run conformance -- oci [--json FILE] [--program NAME ...] [--runtime NAME=PATH ...] [--build]
 *
 * Exit code 1 where Strata fails a program without a reason in exceptions.ts, or one that another
 * runtime passes.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { complaints, makeReport, OURS, textOf } from './report.ts';
import type { RuntimeUnderTest } from './run-program.ts';
import { buildRuntimeTools, MODULE_VERSION, programNames } from './runtime-tools.ts';
import { runSuite } from './suite.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../../layers/02-oci-runtime/bin/strata-oci');

export const STRATA: RuntimeUnderTest = { name: OURS, path: LAUNCHER };

/** Debian's; crun 1.8 knows the specification up to 1.0 only, by the version that a bundle gives. */
const PEERS: readonly RuntimeUnderTest[] = [
  { name: 'runc', path: 'runc' },
  { name: 'crun', path: 'crun', ociVersion: '1.0.2' },
];

/** Builds what is not built, runs the programs, prints the table. @returns the exit code */
export async function conformanceOfRuntimes(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'string' },
      program: { type: 'string', multiple: true },
      runtime: { type: 'string', multiple: true },
      build: { type: 'boolean' },
    },
  });
  const directory = buildRuntimeTools();
  if (values.build) {
    console.log(directory);
    return 0;
  }
  if (process.getuid?.() !== 0) throw new Error('the programs need root: they make containers');
  const runtimes = [STRATA, ...PEERS, ...(values.runtime ?? []).map(parseRuntime)].filter(isThere);
  const results = await runSuite(chosen(values.program), runtimes, {
    signal: interruption(),
    onResult({ program, runtime, passed, seconds }) {
      console.error(`${passed ? 'pass' : 'fail'} ${runtime} ${program} ${seconds.toFixed(1)} s`);
    },
  });
  const setting = { module: MODULE_VERSION, runtimes: runtimes.map(describe) };
  const report = makeReport(setting, results);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(textOf(report));
  const wrong = complaints(report);
  for (const text of wrong) console.error(`conformance: ${text}`);
  return wrong.length > 0 ? 1 : 0;
}

/** What removes the places of the programs also where somebody has had enough. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => controller.abort(new Error(`interrupted by ${name}`)));
  }
  return controller.signal;
}

function chosen(names: readonly string[] | undefined): readonly string[] {
  const all = programNames();
  const unknown = names?.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new Error(`there is no program ${unknown}: ${all.join(', ')}`);
  return names ?? all;
}

function parseRuntime(text: string): RuntimeUnderTest {
  const [, name, path] = /^([\w.-]+)=(.+)$/.exec(text) ?? [];
  if (!name || !path) throw new Error(`--runtime ${text}: not NAME=PATH`);
  return { name, path };
}

const versionOf = ({ path }: RuntimeUnderTest) =>
  spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0];

function isThere(runtime: RuntimeUnderTest): boolean {
  const version = versionOf(runtime);
  if (version === undefined) console.error(`conformance: ${runtime.name} is not installed`);
  return version !== undefined;
}

function describe(runtime: RuntimeUnderTest) {
  const { name, ociVersion } = runtime;
  return { name, version: versionOf(runtime)!, ...(ociVersion && { asOf: ociVersion }) };
}
