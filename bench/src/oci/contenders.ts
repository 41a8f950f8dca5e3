/** Ways to run a container once, from its bundle to nothing left of it. */
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { localSyscalls, WEXITED } from '@strata/namespaces';
import { Runtime } from '@strata/oci-runtime';
import type { Contender } from '../paired.ts';
import type { ScratchBundle } from './scratch-bundle.ts';

const ID = 'strata-bench';
const PIPED = { encoding: 'utf8', stdio: 'pipe' } as const;

/** create, start, wait, delete as calls of the library in this process. */
export function libraryLifecycle(bundle: ScratchBundle): Contender {
  const runtime = new Runtime({ root: bundle.stateOf('library') });
  const sys = localSyscalls();
  return {
    name: 'strata',
    run() {
      const { pid } = runtime.create({ id: ID, bundle: bundle.directory });
      runtime.start(ID);
      const ended = sys.waitid(pid, WEXITED);
      runtime.delete(ID);
      if (ended?.status !== 0) throw new Error(`the container ended with ${ended?.status}`);
      return undefined;
    },
  };
}

/** `RUNTIME run`, as runc's command line has it. */
export function commandLifecycle(name: string, program: string, bundle: ScratchBundle): Contender {
  const root = bundle.stateOf(name);
  return {
    name,
    run: () => command(program, ['--root', root, 'run', '--bundle', bundle.directory, ID]),
  };
}

/**
 * `RUNTIME create`: its container waits until the returned object is disposed of.
 * @throws {Error} with what the runtime said
 */
export function createdByCommand(program: string, bundle: ScratchBundle): CreatedContainer {
  const root = bundle.stateOf('created');
  // The container keeps its streams: with pipes, the wait for their end would never end.
  const streams = openSync(join(bundle.directory, 'output'), 'w+');
  const args = ['--root', root, 'create', '--bundle', bundle.directory, ID];
  const { status, error } = spawnSync(program, args, { stdio: [streams, streams, streams] });
  closeSync(streams);
  if (status !== 0) {
    const said = error?.message ?? readFileSync(join(bundle.directory, 'output'), 'utf8');
    throw new Error(`${program} create: ${said.trim().split('\n').at(-1)}`);
  }
  return {
    root,
    id: ID,
    state: () => JSON.parse(execFileSync(program, ['--root', root, 'state', ID], PIPED)),
    start: () => void command(program, ['--root', root, 'start', ID]),
    [Symbol.dispose]: () => void command(program, ['--root', root, 'delete', '--force', ID]),
  };
}

export interface CreatedContainer extends Disposable {
  readonly root: string;
  readonly id: string;
  state(): { pid: number };
  start(): void;
}

/**
 * Executes a program and expects it to succeed.
 *
 * Its streams are pipes: crun changes the owner of what it is given, /dev/null included.
 * @throws {Error} with the last line of what it said
 */
export function command(program: string, args: readonly string[]): undefined {
  const result: SpawnSyncReturns<string> = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 30_000,
    stdio: 'pipe',
  });
  if (result.error) throw new Error(`${program}: ${result.error.message}`);
  if (result.status !== 0) {
    const said = result.stderr.trim().split('\n').at(-1) || `exit code ${result.status}`;
    throw new Error(`${program} ${args[2] ?? ''}: ${said}`);
  }
}
