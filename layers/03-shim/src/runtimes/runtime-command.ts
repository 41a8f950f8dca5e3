/**
 * One call of an OCI runtime's program, as of runc's command line:
 *
 *   runc --root DIR --log FILE --log-format json  COMMAND [FLAGS] ID
 *
 * Where it fails, the reason is in the log: lines of JSON, the last one of level error counts. What the
 * runtime has printed is the second best, and its exit status the third.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { basename, delimiter, isAbsolute, join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import type { RuntimeChoice } from './oci-runtime.ts';

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 16 << 20;
const MAX_SAID = 500;

/** What runtimes say, as our codes; the first that fits counts. */
const CODES: readonly (readonly [RegExp, string])[] = [
  [/does not exist|no such container|container .* not found/i, 'NOT_FOUND'],
  // crun's words for it.
  [/error opening file `[^`]*\/status`: No such file/, 'NOT_FOUND'],
  [/already exists|already in use|given id already/i, 'ALREADY_EXISTS'],
  [
    /process already finished|no such process|is not running|not running|process not found/i,
    'NOT_RUNNING',
  ],
  [
    /cannot start a container that has|cannot .* a (running|stopped|paused) container/i,
    'INVALID_STATUS',
  ],
  [/container not paused|container is paused|is not paused/i, 'INVALID_STATUS'],
];

/** The program's path. @throws {StrataError} NOT_FOUND */
export function findRuntime(name: string, path = process.env.PATH ?? ''): string {
  if (isAbsolute(name)) return name;
  for (const directory of path.split(delimiter).concat('/usr/sbin', '/sbin')) {
    const candidate = join(directory, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not there; perhaps in the next directory.
    }
  }
  throw new StrataError('NOT_FOUND', `no runtime ${name} on the PATH`, { field: 'runtime' });
}

/** The words before the command. @param log the file that this call's errors go to */
export function globalFlags(choice: RuntimeChoice, log: string): string[] {
  const { root, flags = [], systemdCgroup } = choice;
  return [
    ...(root === undefined ? [] : ['--root', root]),
    ...['--log', log, '--log-format', 'json'],
    ...(systemdCgroup ? ['--systemd-cgroup'] : []),
    ...flags,
  ];
}

/** How a call that we start in another way has failed. */
export interface Failure {
  command: string;
  /** `exit status 1`. */
  how: string;
  /** What it printed. */
  said?: string;
}

/** The error of a call that failed. */
export function runtimeError(choice: RuntimeChoice, log: string, failure: Failure): StrataError {
  const logged = lastError(log);
  const said = failure.said?.trim().slice(-MAX_SAID) || undefined;
  const reason = logged ?? said;
  const name = basename(choice.path ?? 'runtime');
  const code = CODES.find(([pattern]) => reason && pattern.test(reason))?.[1] ?? 'RUNTIME_FAILED';
  const message = `${name} ${failure.command}: ${reason ?? failure.how}`;
  return new StrataError(code, message, { step: `runtime ${failure.command}` });
}

function lastError(log: string): string | undefined {
  const text = readFileSync(log, 'utf8');
  for (const line of text.trimEnd().split('\n').reverse()) {
    try {
      const { level, msg } = JSON.parse(line);
      if ((level === 'error' || level === 'fatal') && typeof msg === 'string') return msg;
    } catch {
      // Not JSON: of a library below, perhaps.
    }
  }
  return undefined;
}

/**
 * Runs a command to its end.
 * @returns what it printed
 * @throws {StrataError} of the runtime's own; DEADLINE_EXCEEDED where it takes longer than a minute
 */
export async function callRuntime(
  choice: RuntimeChoice & { path: string },
  call: { command: string; args: readonly string[]; log: string },
): Promise<string> {
  const { command, args, log } = call;
  const words = [...globalFlags(choice, log), command, ...args];
  const child = spawn(choice.path, words, {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      if (printed[name].length < MAX_OUTPUT_BYTES) printed[name] += text;
    });
  }
  const fail = (how: string): StrataError =>
    runtimeError(choice, log, { command, how, said: printed.stderr });
  const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>(
    (resolve, reject) => {
      child.on('error', (error) => reject(fail(error.message)));
      child.on('close', (code, signal) => resolve({ code, signal }));
    },
  );
  if (child.killed) {
    const message = `${basename(choice.path)} ${command} took longer than ${TIMEOUT_MS} ms`;
    throw new StrataError('DEADLINE_EXCEEDED', message, { step: `runtime ${command}` });
  }
  if (code !== 0) throw fail(signal === null ? `exit status ${code}` : `ended by ${signal}`);
  return printed.stdout;
}
