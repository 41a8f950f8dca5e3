/**
 * The bundle that all runtimes run: a root file system of one static busybox, and the config.json
 * that `strata-oci spec` writes (in meaning runc's own), with limits, a cgroup and a seccomp filter.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Spec } from '@strata/oci-runtime';
import { SECCOMP_PROFILE } from './seccomp-profile.ts';

export const STRATA_OCI = resolve(
  import.meta.dirname,
  '../../../layers/02-oci-runtime/bin/strata-oci',
);
const CGROUPS = '/sys/fs/cgroup';
const MIB = 2 ** 20;
/** @see statfs(2) */
const TMPFS_MAGIC = 0x01021994;

const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export class ScratchBundle implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'strata-bench-'));
  /** In memory, as /run is, where runtimes have their state. */
  readonly #state = mkdtempSync(join(MEMORY, 'strata-bench-'));
  readonly #cgroup: string;

  /**
   * @param args what the container runs: a busybox applet with an absolute path, and arguments
   * @param owner tells bundles apart that are there at the same time
   */
  constructor(args: readonly string[], owner = 'all') {
    this.#cgroup = `strata-bench-${process.pid}-${owner}`;
    const rootfs = join(this.directory, 'rootfs');
    for (const name of ['bin', 'dev', 'proc', 'sys', 'etc', 'tmp']) {
      mkdirSync(join(rootfs, name), { recursive: true });
    }
    copyFileSync(staticBusybox(), join(rootfs, 'bin/busybox'));
    for (const applet of ['true', 'sleep', 'sh'])
      symlinkSync('busybox', join(rootfs, 'bin', applet));
    this.#writeConfig(args);
  }

  /** A directory for the state of one runtime. */
  stateOf(runtime: string): string {
    return join(this.#state, runtime);
  }

  /** The config.json with a cgroup of its own, for one of several containers of this bundle. */
  specFor(id: string): Spec {
    const spec = JSON.parse(readFileSync(join(this.directory, 'config.json'), 'utf8'));
    spec.linux.cgroupsPath = `/${this.#cgroup}/${id}`;
    return spec;
  }

  #writeConfig(args: readonly string[]): void {
    const { status, stderr } = spawnSync(STRATA_OCI, ['spec', '--bundle', this.directory]);
    if (status !== 0) throw new Error(`strata-oci spec failed: ${stderr}`);
    const path = join(this.directory, 'config.json');
    const spec = JSON.parse(readFileSync(path, 'utf8'));
    // Debian 12's runtimes know no newer version, and nothing newer is used.
    spec.ociVersion = '1.0.2';
    spec.process = { ...spec.process, terminal: false, args };
    spec.linux.cgroupsPath = `/${this.#cgroup}/container`;
    spec.linux.resources = {
      ...spec.linux.resources,
      cpu: { shares: 512, quota: 100_000, period: 100_000 },
      memory: { limit: 128 * MIB },
      pids: { limit: 64 },
    };
    spec.linux.seccomp = SECCOMP_PROFILE;
    writeFileSync(path, JSON.stringify(spec));
  }

  [Symbol.dispose](): void {
    for (const path of [this.directory, this.#state]) {
      rmSync(path, { recursive: true, force: true });
    }
    for (const hierarchy of ['', ...readdirSync(CGROUPS)]) {
      removeCgroup(join(CGROUPS, hierarchy, this.#cgroup));
    }
  }
}

/** The kernel's files in a cgroup cannot be unlinked, only the directories be removed. */
function removeCgroup(path: string): void {
  // What stands in for the cgroup2 mount is no cgroup, and vanishes with the namespace.
  if (!existsSync(path) || statfsSync(path).type === TMPFS_MAGIC) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  }
  rmdirSync(path);
}

function staticBusybox(): string {
  const found = ['/bin/busybox', '/usr/bin/busybox'].find(existsSync);
  if (!found) throw new Error('a static busybox is needed: apt-get install busybox-static');
  return found;
}
