/**
 * A place of its own (isolation.ts) that stays, for a daemon and those who call it.
 *
 *   await using place = await Place.open();
 *   place.spawn(['containerd', ...]);
 *   place.run(['ctr', ...]);         they see the same mounts and processes
 *
 * It lasts as long as its first process, which reads from a pipe of ours: so it ends with us.
 */
import {
  type ChildProcess,
  type SpawnOptions,
  type SpawnSyncReturns,
  spawn,
  spawnSync,
} from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type Isolated, spawnIsolated } from './isolation.ts';

/** What one command may take. */
const COMMAND_WITHIN_MS = 60_000;

export class Place implements AsyncDisposable {
  readonly #isolated: Isolated;
  readonly #enter: readonly string[];

  private constructor(isolated: Isolated, pid: number) {
    this.#isolated = isolated;
    const namespaces = ['--mount', '--pid', '--cgroup', '--net'];
    const enter = ['nsenter', '--target', String(pid), ...namespaces, '--'];
    this.#enter = [...isolated.inItsCgroups, ...enter];
  }

  /** @throws {Error} where a namespace, a mount or a cgroup cannot be made, with what was said */
  static async open(options: { network?: boolean } = {}): Promise<Place> {
    const isolated = spawnIsolated(['cat'], { ...options, stdio: 'pipe' });
    const { process } = isolated;
    let said = '';
    process.stderr!.on('data', (chunk) => {
      said += chunk;
    });
    process.stdin!.write('ready\n');
    const ready = await Promise.race([once(process.stdout!, 'data'), once(process, 'exit')]);
    if (process.exitCode !== null || !String(ready[0]).startsWith('ready')) {
      isolated[Symbol.dispose]();
      throw new Error(`cannot make a place for others: ${said.trim()}`);
    }
    return new Place(isolated, firstProcessOf(process.pid!));
  }

  /** Runs a command to its end. */
  run(command: readonly string[], options: { input?: string } = {}): SpawnSyncReturns<string> {
    const more = { encoding: 'utf8' as const, timeout: COMMAND_WITHIN_MS };
    const [program, ...args] = [...this.#enter, ...command];
    return spawnSync(program!, args, { ...more, ...options });
  }

  /** Runs a command on a terminal of its own, which types `input`. */
  runOnTerminal(command: readonly string[], input: string): SpawnSyncReturns<string> {
    const line = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    return this.run(['script', '-qec', line, '/dev/null'], { input });
  }

  /** Starts a command, which ends with the place. */
  spawn(command: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [program, ...args] = [...this.#enter, ...command];
    return spawn(program!, args, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { process } = this.#isolated;
    const ended = once(process, 'exit');
    process.stdin!.end();
    await ended;
    this.#isolated[Symbol.dispose]();
  }
}

/** unshare(1) stays outside; its child is process 1 inside. */
function firstProcessOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
}
