/** A bundle of busybox for tests: a directory to work in, and how to look for leftovers of it. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CGROUPS = '/sys/fs/cgroup';
const APPLETS = [
  ...[
    'sh',
    'cat',
    'echo',
    'sleep',
    'seq',
    'true',
    'head',
    'tr',
    'yes',
    'usleep',
    'stty',
    'dd',
    'wc',
    'touch',
    'rm',
    'test',
    '[',
  ],
];

/** The process of an exec that runs a shell script. */
export const shellProcess = (script: string) => ({
  user: { uid: 0, gid: 0 },
  args: ['/bin/sh', '-c', script],
  env: ['PATH=/bin'],
  cwd: '/',
});

export class TestArea implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'strata-shim-'));
  readonly state = join(this.directory, 'state');
  readonly #rootfs = join(this.directory, 'rootfs');
  readonly #name = this.directory.split('/').at(-1)!;

  constructor() {
    for (const name of ['bin', 'proc', 'dev', 'sys', 'tmp', 'etc']) {
      mkdirSync(join(this.#rootfs, name), { recursive: true });
    }
    copyFileSync('/bin/busybox', join(this.#rootfs, 'bin/busybox'));
    for (const applet of APPLETS) symlinkSync('busybox', join(this.#rootfs, 'bin', applet));
  }

  logPath(id: string): string {
    return join(this.directory, 'logs', `${id}.log`);
  }

  /** A bundle that runs a shell script. */
  bundle(
    id: string,
    script: string,
    options: { terminal?: boolean; memoryBytes?: number } = {},
  ): string {
    const bundle = join(this.directory, 'bundles', id);
    mkdirSync(bundle, { recursive: true });
    const namespaces = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'];
    const config = {
      ociVersion: '1.0.2',
      process: {
        terminal: options.terminal ?? false,
        user: { uid: 0, gid: 0 },
        args: ['/bin/sh', '-c', script],
        env: ['PATH=/bin'],
        cwd: '/',
        noNewPrivileges: true,
      },
      root: { path: this.#rootfs, readonly: false },
      hostname: id,
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        {
          destination: '/dev',
          type: 'tmpfs',
          source: 'tmpfs',
          options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
        },
        {
          destination: '/dev/pts',
          type: 'devpts',
          source: 'devpts',
          options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
        },
      ],
      linux: {
        cgroupsPath: `/${this.#name}/${id}`,
        namespaces: namespaces.map((type) => ({ type })),
        ...(options.memoryBytes && { resources: { memory: { limit: options.memoryBytes } } }),
      },
    };
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
    return bundle;
  }

  /** What is still there of this area: processes by command line, cgroups, state files. */
  leftovers(): string[] {
    const found: string[] = [];
    for (const name of ['shim/containers', 'shim/exits', 'oci']) {
      for (const entry of listed(join(this.state, name))) found.push(`${name}/${entry}`);
    }
    for (const parent of this.#cgroups()) {
      for (const entry of readdirSync(parent, { withFileTypes: true })) {
        if (entry.isDirectory()) found.push(join(parent, entry.name));
      }
    }
    return found;
  }

  /** The parent cgroup of this area's containers, in every hierarchy that has it. */
  #cgroups(): string[] {
    return readdirSync(CGROUPS)
      .map((hierarchy) => join(CGROUPS, hierarchy, this.#name))
      .filter((path) => existsSync(path));
  }

  [Symbol.dispose](): void {
    for (const path of this.#cgroups()) rmdirSync(path);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
