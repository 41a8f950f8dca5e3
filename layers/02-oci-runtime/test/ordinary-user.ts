/**
 * strata-oci by an ordinary user, who never was root: for tests.
 *
 * Each call is a program of its own, in a mount namespace where the repository can be reached by
 * anybody and /etc/subuid grants what the test says.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Spec } from '../src/config/spec.ts';
import { fillRootfs } from './bundle.ts';

const REPOSITORY = resolve(import.meta.dirname, '../../..');
/** Nobody's, on any machine. */
export const UID = 61_234;
const SUBORDINATE = ['/etc/subuid', '/etc/subgid'];
/** newuidmap(1) wants to know the user's name. */
const ENTRY = `strata-test:x:${UID}:${UID}::/:/bin/sh\n`;

/** Whether anybody may read the sources, wherever they are mounted. */
export const isReadable = (statSync(import.meta.filename).mode & 4) !== 0;
export const hasUidmap =
  ['/usr/bin/newuidmap', '/usr/bin/newgidmap'].every((path) => existsSync(path)) &&
  SUBORDINATE.every((path) => existsSync(path));

export class OrdinaryUser implements Disposable {
  readonly home = mkdtempSync(join(tmpdir(), 'strata-user-'));
  readonly bundle = join(this.home, 'bundle');
  readonly runtimeDirectory = join(this.home, 'run');
  /** What /etc/subuid and /etc/subgid say. */
  grants = '';
  /** Directories of cgroups that each call is put into. */
  cgroups: readonly string[] = [];

  constructor() {
    chmodSync(this.home, 0o711);
    fillRootfs(join(this.bundle, 'rootfs'));
    for (const path of [this.runtimeDirectory, join(this.home, 'repository')]) mkdirSync(path);
    spawnSync('chown', ['-R', '-h', `${UID}:${UID}`, this.home]);
    chmodSync(this.runtimeDirectory, 0o700);
  }

  /** `strata-oci ARGS` in the bundle, to its end; what it says goes to files, which are not waited for. */
  oci(...args: string[]): { status: number | null; output: string } {
    const output = join(this.home, 'output');
    const { status } = this.run(['strata-oci', ...args], output);
    return { status, output: readFileSync(output, 'utf8') };
  }

  run(command: readonly string[], output: string): SpawnSyncReturns<string> {
    writeFileSync(join(this.home, 'grants'), this.grants);
    writeFileSync(join(this.home, 'passwd'), readFileSync('/etc/passwd', 'utf8') + ENTRY);
    writeFileSync(output, '');
    chownSync(output, UID, UID);
    const binds = SUBORDINATE.filter((path) => existsSync(path));
    const script = [
      `mount --bind ${REPOSITORY} ${this.home}/repository`,
      `mount --bind ${this.home}/passwd /etc/passwd`,
      ...binds.map((path) => `mount --bind ${this.home}/grants ${path}`),
      ...this.cgroups.map((path) => `echo $$ >${path}/cgroup.procs`),
      `exec setpriv --reuid=${UID} --regid=${UID} --clear-groups "$@" >${output} 2>&1`,
    ].join('\n');
    const bin = join(this.home, 'repository/layers/02-oci-runtime/bin');
    const env = {
      PATH: `${bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      HOME: this.home,
      XDG_RUNTIME_DIR: this.runtimeDirectory,
    };
    return spawnSync('unshare', ['-m', 'sh', '-ec', script, 'sh', ...command], {
      encoding: 'utf8',
      cwd: this.bundle,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  }

  /** Writes config.json: `strata-oci spec --rootless`, running `args`, changed. */
  write(args: string[], change: (spec: Spec) => void = () => {}): void {
    const path = join(this.bundle, 'config.json');
    rmSync(path, { force: true });
    const { status, output } = this.oci('spec', '--rootless');
    if (status !== 0) throw new Error(output);
    const spec = JSON.parse(readFileSync(path, 'utf8')) as Spec;
    spec.process!.terminal = false;
    spec.process!.args = args;
    change(spec);
    writeFileSync(path, JSON.stringify(spec));
  }

  /** Runs a script in a container, which `change` has changed, to its end. */
  shell(script: string, change?: (spec: Spec) => void): string {
    this.write(['sh', '-c', script], change);
    const { status, output } = this.oci('run', 'test');
    return status === 0 ? output : `${output}exit code ${status}\n`;
  }

  /** The containers that are left. */
  get containers(): string[] {
    const state = join(this.runtimeDirectory, 'strata/oci');
    // Beside them lies what is kept of failures.
    return existsSync(state) ? readdirSync(state).filter((name) => !name.startsWith('@')) : [];
  }

  [Symbol.dispose](): void {
    for (const id of this.containers) this.oci('delete', '--force', id);
    rmSync(this.home, { recursive: true });
  }
}
