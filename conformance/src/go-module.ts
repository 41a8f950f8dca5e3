/**
 * Programs built from other people's Go modules.
 *
 * A go.mod of ours names the version. Go is needed here and nowhere else in Strata.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';

export interface GoModule {
  /** The directory of our go.mod. */
  readonly directory: string;
  /** The module that it requires. */
  readonly path: string;
}

/** The version that our go.mod requires. */
export function requiredVersion({ directory, path }: GoModule): string {
  const text = readFileSync(join(directory, 'go.mod'), 'utf8');
  const version = new RegExp(`${path} (v[\\w.+-]+)`).exec(text)?.[1];
  if (!version) throw new Error(`go.mod does not require ${path}`);
  return version;
}

/**
 * Runs go in our module's directory, with lower priority than whatever else runs on the machine.
 * @returns what it printed
 * @throws {Error} without Go, or where it fails (its own words are on standard error)
 */
export function go(module: GoModule, args: readonly string[]): string {
  const program = findGo();
  setPriority(constants.priority.PRIORITY_LOW);
  const { status, stdout, error } = spawnSync(program, args, {
    cwd: module.directory,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    env: { ...process.env, GOFLAGS: '-mod=mod -buildvcs=false', CGO_ENABLED: '0' },
  });
  if (status === 0) return stdout;
  throw new Error(`go ${args[0]} failed: ${error?.message ?? `exit code ${status}`}`);
}

function findGo(): string {
  for (const program of ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go']) {
    if (spawnSync(program, ['version']).status === 0) return program;
  }
  throw new Error('Go is not installed; only this conformance check needs it');
}
