/** Runs one program of runtime-tools with one runtime, in a place of its own. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { spawnIsolated } from '../isolation.ts';
import { PROGRAMS } from './runtime-tools.ts';
import { type Ending, judge, type Verdict } from './verdict.ts';

/** The longest, kill and delete, wait for ten seconds and some more for answers that never come. */
const ENDS_WITHIN_MS = 180_000;

export interface RuntimeUnderTest {
  readonly name: string;
  /** The program that is called with runc's command line. */
  readonly path: string;
  /** The newest ociVersion that it takes; bundles that ask for more are changed to this. */
  readonly ociVersion?: string;
}

export interface Result extends Verdict {
  readonly program: string;
  readonly runtime: string;
  readonly seconds: number;
  /** What the program has printed, for who wants to look closer. */
  readonly output: string;
}

/** @param signal ends it, and the promise with an AbortError */
export async function runProgram(
  program: string,
  runtime: RuntimeUnderTest,
  signal?: AbortSignal,
): Promise<Result> {
  using cleanup = new DisposableStack();
  const scratch = cleanup.adopt(mkdtempSync(join(tmpdir(), 'strata-conformance-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  );
  const bundles = join(scratch, 'bundles');
  mkdirSync(bundles);
  const command = runtime.ociVersion ? loweringWrapper(scratch, runtime) : runtime.path;
  const began = performance.now();
  const environment = { RUNTIME: command, TMPDIR: bundles };
  const ending = await run(join(PROGRAMS, program), environment, signal);
  const seconds = (performance.now() - began) / 1000;
  const output = ending.stdout + ending.stderr;
  return { program, runtime: runtime.name, seconds, output, ...judge(ending) };
}

async function run(
  program: string,
  environment: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<Ending> {
  using isolated = spawnIsolated([program], {
    cwd: PROGRAMS,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: ENDS_WITHIN_MS,
    killSignal: 'SIGKILL',
    ...(signal && { signal }),
  });
  const child = isolated.process;
  const [stdout, stderr, [exitCode, endedBy]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'exit'),
  ]);
  return { stdout, stderr, exitCode, timedOut: endedBy === 'SIGKILL' };
}

/** A program that lowers the ociVersion of the bundle it is given, and then is the runtime. */
function loweringWrapper(directory: string, { path, ociVersion }: RuntimeUnderTest): string {
  const wrapper = join(directory, 'runtime');
  const pattern = `s/("ociVersion": *")1\\.[0-9.]+"/\\1${ociVersion}"/`;
  const script = `#!/bin/sh
bundle=. previous=
for argument; do
  [ "$previous" = --bundle ] && bundle=$argument
  previous=$argument
done
[ "$1" = create ] && [ -f "$bundle/config.json" ] && sed -E -i '${pattern}' "$bundle/config.json"
exec "${path}" "$@"
`;
  writeFileSync(wrapper, script, { mode: 0o755 });
  return wrapper;
}
