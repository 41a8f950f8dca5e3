/**
 * Runs `strata-oci`, and beside it Debian's runc with the same words, each with containers of its own
 * below one directory.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const RUNC = '/usr/sbin/runc';
export const hasRunc = existsSync(RUNC);
const PATIENCE_MS = 60_000;

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  input?: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Further descriptors, from 3 on. */
  descriptors?: readonly number[];
}

export class Command {
  readonly program: string;
  readonly root: string;

  constructor(program: string, root: string) {
    this.program = program;
    this.root = root;
  }

  /** Runs it to its end. Its output is a file: a container that it leaves behind keeps a pipe open. */
  run(args: readonly string[], options: CommandOptions = {}): Outcome {
    return runProgram(this.program, ['--root', this.root, ...args], options);
  }

  /** As `run`, for one that has to succeed; what it has written. */
  out(args: readonly string[], options: CommandOptions = {}): string {
    const { code, stdout, stderr } = this.run(args, options);
    if (code === 0) return stdout;
    throw new Error(`${this.program} ${args.join(' ')}: exit code ${code}: ${stderr}`);
  }

  /** Starts it, and goes on. */
  begin(args: readonly string[], { env }: Pick<CommandOptions, 'env'> = {}): Running {
    const child = spawn(this.program, ['--root', this.root, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(env && { env: { ...process.env, ...env } }),
    });
    return new Running(child);
  }

  /** Kills and deletes what is there. */
  removeAll(): void {
    for (const id of this.out(['list', '-q']).split('\n').filter(Boolean)) {
      this.out(['delete', '--force', id]);
    }
  }
}

/** As `Command.run`, of any program. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Outcome {
  const { input, cwd, env, descriptors = [] } = options;
  using files = new OutputFiles();
  const ended = spawnSync(program, args, {
    timeout: PATIENCE_MS,
    ...(cwd !== undefined && { cwd }),
    ...(env && { env: { ...process.env, ...env } }),
    input: input ?? '',
    stdio: ['pipe', files.stdout, files.stderr, ...descriptors],
  });
  if (ended.error) throw ended.error;
  return { code: ended.status, ...files.read() };
}

/** A command that has not ended perhaps. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  /** Its exit code, whatever becomes of its output. */
  readonly exit: Promise<number | null>;
  #stdout = '';
  #stderr = '';

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout!.on('data', (data: Buffer) => {
      this.#stdout += data.toString();
    });
    child.stderr!.on('data', (data: Buffer) => {
      this.#stderr += data.toString();
    });
    this.exit = new Promise((resolve) => {
      child.on('exit', (code) => resolve(code));
    });
    this.ended = new Promise((resolve) => {
      child.on('close', (code) => {
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Its exit code; what a container that it leaves behind may still write is not waited for. */
  async left(): Promise<number | null> {
    const code = await this.exit;
    this.child.stdout!.destroy();
    this.child.stderr!.destroy();
    await this.ended;
    return code;
  }

  /** What it has written so far. */
  get stdout(): string {
    return this.#stdout;
  }
}

class OutputFiles implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'strata-output-'));
  readonly stdout = openSync(join(this.#directory, 'stdout'), 'w+');
  readonly stderr = openSync(join(this.#directory, 'stderr'), 'w+');

  read(): { stdout: string; stderr: string } {
    const text = (name: string): string => readFileSync(join(this.#directory, name), 'utf8');
    return { stdout: text('stdout'), stderr: text('stderr') };
  }

  [Symbol.dispose](): void {
    closeSync(this.stdout);
    closeSync(this.stderr);
    rmSync(this.#directory, { recursive: true });
  }
}

/** The program as it is installed: its launcher, and the bundle where there is one. */
export function strataOci(directory: string): Command {
  return new Command(join(import.meta.dirname, '../bin/strata-oci'), join(directory, 'strata'));
}

export function runc(directory: string): Command {
  return new Command(RUNC, join(directory, 'runc'));
}

/** The JSON with each value replaced by its type: what two programs must have in common. */
export function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? [shapeOf(value[0])] : [];
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shapeOf(each)]));
}
