/**
 * crictl, the real client of CRI servers, built from its Go module.
 *
 * go.mod names the version. A cold build takes about three minutes on two cores, so the program is
 * kept in ~/.cache/strata by version, and conformance/bin/crictl is a link to it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { constants, homedir, setPriority } from 'node:os';
import { join, resolve } from 'node:path';

const DIRECTORY = resolve(import.meta.dirname, '..');
const MODULE = 'sigs.k8s.io/cri-tools';

/** Where the built program is found. */
export const CRICTL = join(DIRECTORY, 'bin/crictl');

/**
 * Builds crictl, or takes the one built before.
 * @returns its path
 * @throws {Error} without Go, or where the modules cannot be had
 */
export function buildCrictl(): string {
  const version = moduleVersion();
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata');
  const cached = join(cache, `crictl-${version}-linux-${process.arch}`);
  if (!existsSync(cached)) {
    mkdirSync(cache, { recursive: true });
    compile(version, `${cached}.${process.pid}`);
    renameSync(`${cached}.${process.pid}`, cached);
  }
  mkdirSync(join(DIRECTORY, 'bin'), { recursive: true });
  rmSync(CRICTL, { force: true });
  symlinkSync(cached, CRICTL);
  return CRICTL;
}

/** The version in go.mod. */
function moduleVersion(): string {
  const text = readFileSync(join(DIRECTORY, 'go.mod'), 'utf8');
  const version = new RegExp(`${MODULE} (v[\\w.+-]+)`).exec(text)?.[1];
  if (!version) throw new Error(`go.mod does not require ${MODULE}`);
  return version;
}

function compile(version: string, output: string): void {
  const go = findGo();
  const { major, minor } = /^v(?<major>\d+)\.(?<minor>\d+)/.exec(version)!.groups!;
  console.error(`conformance: building crictl v${major}.${minor} (three minutes when cold)`);
  // Whatever else runs on the machine comes first.
  setPriority(constants.priority.PRIORITY_LOW);
  const flags = `-s -w -X ${MODULE}/pkg/version.Version=${version}`;
  const args = ['build', '-trimpath', '-ldflags', flags, '-o', output, `${MODULE}/cmd/crictl`];
  const { status, error } = spawnSync(go, args, {
    cwd: DIRECTORY,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, GOFLAGS: '-mod=mod -buildvcs=false', CGO_ENABLED: '0' },
  });
  if (status !== 0) throw new Error(`go build failed: ${error?.message ?? `exit code ${status}`}`);
}

function findGo(): string {
  for (const go of ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go']) {
    if (spawnSync(go, ['version']).status === 0) return go;
  }
  throw new Error('Go is not installed; only this conformance check needs it');
}
