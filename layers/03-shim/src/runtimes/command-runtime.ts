/**
 * An OCI runtime by its command line: runc's, which crun, runsc and youki have too.
 *
 *   create, restore, exec   by way of a keeper, whose child the process becomes (kept-command.ts)
 *   the others              a call that ends (runtime-command.ts)
 *
 * A signal for the init alone goes to it directly, by its pidfd: that needs no runtime.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Cgroup, StrataError } from '@strata/namespaces';
import type { LinuxResources } from '@strata/oci-runtime';
import { type KeptCommand, runKept } from './kept-command.ts';
import type {
  CheckpointRequest,
  CreateProcess,
  ExecProcessOptions,
  Kept,
  KeptContainer,
  OciRuntimeDriver,
  RuntimeChoice,
} from './oci-runtime.ts';
import { callRuntime, findRuntime, globalFlags, runtimeError } from './runtime-command.ts';

interface Leaving {
  command: 'create' | 'restore' | 'exec';
  id: string;
  flags: readonly string[];
  options: Pick<CreateProcess, 'stdio' | 'keeper' | 'terminal'>;
  cwd: string;
}

export class CommandRuntime implements OciRuntimeDriver {
  readonly #choice: RuntimeChoice & { path: string };
  readonly #env: Readonly<Record<string, string | undefined>>;

  /**
   * @param options.env of the runtime, for `create`, `restore` and `exec`; default: ours
   * @throws {StrataError} NOT_FOUND where there is no such program
   */
  constructor(
    choice: RuntimeChoice & { path: string },
    options: { env?: Readonly<Record<string, string | undefined>> } = {},
  ) {
    this.#choice = { ...choice, path: findRuntime(choice.path) };
    this.#env = options.env ?? process.env;
  }

  async create(options: CreateProcess): Promise<KeptContainer> {
    const { id, bundle } = options;
    const flags = ['--bundle', bundle, ...this.#creationFlags()];
    return withCgroups(await this.#leave({ command: 'create', id, flags, options, cwd: bundle }));
  }

  async restore(options: CreateProcess, checkpoint: CheckpointRequest): Promise<KeptContainer> {
    const { id, bundle } = options;
    const flags = [
      ...['--bundle', bundle, '--detach', '--image-path', checkpoint.imagePath],
      ...(checkpoint.workPath === undefined ? [] : ['--work-path', checkpoint.workPath]),
      ...(checkpoint.switches ?? []).map((name) => `--${name}`),
      ...this.#creationFlags(),
    ];
    return withCgroups(await this.#leave({ command: 'restore', id, flags, options, cwd: bundle }));
  }

  #creationFlags(): string[] {
    const { noPivotRoot, noNewKeyring } = this.#choice;
    return [...(noPivotRoot ? ['--no-pivot'] : []), ...(noNewKeyring ? ['--no-new-keyring'] : [])];
  }

  async exec(options: ExecProcessOptions): Promise<Kept> {
    const { id, process: spec } = options;
    const terminal = spec.terminal ?? false;
    return withFile('process.json', JSON.stringify(spec), (file) =>
      this.#leave({
        command: 'exec',
        ...{ id, flags: ['--detach', '--process', file], cwd: '/' },
        options: { ...options, terminal },
      }),
    );
  }

  /** Runs a command that leaves a process behind. */
  async #leave({ command, id, flags, options, cwd }: Leaving): Promise<Kept> {
    const choice = this.#choice;
    const { stdio, keeper, terminal } = options;
    return withFile('log.json', '', (log) => {
      const kept: KeptCommand = {
        ...{ title: `strata: keeper ${id}`, stdio, keeper, terminal, cwd },
        ...{ path: choice.path, env: this.#env },
        args: ({ pidFile, consoleSocket }) => [
          ...[...globalFlags(choice, log), command, ...flags, '--pid-file', pidFile],
          ...(consoleSocket === undefined ? [] : ['--console-socket', consoleSocket]),
          id,
        ],
        failed: (how) => runtimeError(choice, log, { command, how }),
      };
      return runKept(kept);
    });
  }

  async #call(command: string, args: readonly string[]): Promise<string> {
    return withFile('log.json', '', (log) => callRuntime(this.#choice, { command, args, log }));
  }

  async start(id: string): Promise<void> {
    await this.#call('start', [id]);
  }

  async kill(id: string, signal: number, options: { all?: boolean }): Promise<void> {
    await this.#call('kill', [...(options.all ? ['--all'] : []), id, String(signal)]);
  }

  async pause(id: string): Promise<void> {
    await this.#call('pause', [id]);
  }

  async resume(id: string): Promise<void> {
    await this.#call('resume', [id]);
  }

  async update(id: string, resources: LinuxResources): Promise<void> {
    await withFile('resources.json', JSON.stringify(resources), (file) =>
      this.#call('update', ['--resources', file, id]),
    );
  }

  async checkpoint(id: string, checkpoint: CheckpointRequest): Promise<void> {
    const { imagePath, workPath, leaveRunning, switches = [] } = checkpoint;
    await this.#call('checkpoint', [
      ...['--image-path', imagePath],
      ...(workPath === undefined ? [] : ['--work-path', workPath]),
      ...(leaveRunning ? ['--leave-running'] : []),
      ...switches.map((name) => `--${name}`),
      id,
    ]);
  }

  async remove(id: string): Promise<void> {
    try {
      await this.#call('delete', ['--force', id]);
    } catch (error) {
      if (!(error instanceof StrataError && error.code === 'NOT_FOUND')) throw error;
    }
  }

  async isStarted(id: string): Promise<boolean | undefined> {
    let text: string;
    try {
      text = await this.#call('state', [id]);
    } catch (error) {
      if (error instanceof StrataError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
    const { status } = JSON.parse(text) as { status?: unknown };
    if (typeof status === 'string') return status !== 'created' && status !== 'creating';
    const name = basename(this.#choice.path);
    throw new StrataError('RUNTIME_FAILED', `${name} state: no status in ${text.slice(0, 200)}`);
  }
}

/** Calls with a file that nobody else can read, and removes it. */
async function withFile<T>(
  name: string,
  content: string,
  action: (path: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'strata-runtime-'));
  try {
    const path = join(directory, name);
    writeFileSync(path, content, { mode: 0o600 });
    return await action(path);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Where it is in the same cgroup as we, it has none of its own: a runtime need not use them all. */
function withCgroups(kept: Kept): KeptContainer {
  const { paths } = Cgroup.ofProcess(kept.init.pid);
  const ours = Cgroup.ofProcess(process.pid).paths;
  const own = Object.entries(paths).filter(([key, directory]) => directory !== ours[key]);
  return { ...kept, cgroups: Object.fromEntries(own) };
}
