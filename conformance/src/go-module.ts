/**
 * Programs built from other people's Go modules.
 *
 * A go.mod of ours names the version. What is built is kept in ~/.cache/strata by version, and
 * conformance/bin has links to it. Go is needed here and nowhere else in Strata.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { constants, homedir, setPriority } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** Where links to what was built are found. */
export const BIN = resolve(import.meta.dirname, '../bin');

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
 * Makes a file or directory once for each version, and links to it.
 * @param name of the link; the version and the architecture are added in the cache
 * @param make writes it at the path it is given; half of one is never seen
 * @returns the link's path
 */
export function buildOnce(name: string, version: string, make: (path: string) => void): string {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata');
  const cached = join(cache, `${name}-${version}-linux-${process.arch}`);
  if (!existsSync(cached)) {
    mkdirSync(cache, { recursive: true });
    const unfinished = `${cached}.${process.pid}`;
    try {
      make(unfinished);
      moveWhereNobodyWas(unfinished, cached);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  const link = join(BIN, name);
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(cached, link);
  return link;
}

/** Whoever builds the same at the same time may be first: theirs is as good. */
function moveWhereNobodyWas(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!statSync(to, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
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
