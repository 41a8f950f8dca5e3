/** Directories for a manager of a test's own, and how to look for what is left of its containers. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NetworkNamespace } from '@strata/namespaces';
import { Manager } from '../src/index.ts';

const CGROUPS = '/sys/fs/cgroup';

export class ManagerArea implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'strata-manager-'));
  readonly root = join(this.directory, 'root');
  readonly state = join(this.directory, 'state');
  /** Bridges and cables live here, not in the machine's own network. */
  readonly host = NetworkNamespace.create();
  readonly cgroupParent = `/${this.directory.split('/').at(-1)}`;

  /** With the shim in this process, so that it ends with the manager. */
  open(): Promise<Manager> {
    const { root, state, cgroupParent } = this;
    const shim = 'in-process';
    return Manager.open({ root, state, cgroupParent, hostNetns: this.host.fd, shim });
  }

  /** Mounts, cgroups, processes and records of this area's containers and pods. */
  leftovers(): string[] {
    const directories = [
      'state/oci',
      'state/shim/containers',
      'state/shim/exits',
      'root/rootfs',
      'state/containers',
      'state/pods',
    ];
    return [
      ...lines('/proc/self/mountinfo').filter((line) => line.includes(this.directory)),
      ...this.#cgroups().flatMap((path) => childDirectories(path).map((name) => join(path, name))),
      ...processesWith(this.cgroupParent.slice(1)),
      ...directories.flatMap((name) =>
        entries(join(this.directory, name)).map((entry) => `${name}/${entry}`),
      ),
      ...this.#addresses(),
    ];
  }

  /** Files of addresses that are given to somebody. */
  #addresses(): string[] {
    const networks = join(this.state, 'networks');
    return entries(networks).flatMap((network) =>
      entries(join(networks, network)).filter((name) => /^\d+\./.test(name)),
    );
  }

  #cgroups(): string[] {
    return childDirectories(CGROUPS)
      .map((hierarchy) => join(CGROUPS, hierarchy, this.cgroupParent))
      .filter((path) => existsSync(path));
  }

  [Symbol.dispose](): void {
    for (const path of this.#cgroups()) rmdirSync(path);
    this.host[Symbol.dispose]();
    rmSync(this.directory, { recursive: true });
  }
}

const lines = (path: string): string[] => readFileSync(path, 'utf8').split('\n').filter(Boolean);

/** Not files that a store keeps for itself. */
const entries = (path: string): string[] =>
  existsSync(path) ? readdirSync(path).filter((name) => !name.startsWith('.')) : [];

const childDirectories = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

/** Processes in a cgroup, or with a command line, that names the area. */
function processesWith(name: string): string[] {
  const own = String(process.pid);
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && pid !== own)
    .flatMap((pid) => {
      const text = ['cgroup', 'cmdline'].map((file) => ifThere(`/proc/${pid}/${file}`)).join('\n');
      return text.includes(name) ? [`process ${pid}: ${ifThere(`/proc/${pid}/cmdline`)}`] : [];
    });
}

/** Empty for a process that has ended meanwhile. */
function ifThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}
