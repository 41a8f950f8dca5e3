/** A containerd of a test's own: directory, sockets, image and `ctr`. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const CGROUPS = '/sys/fs/cgroup';
const BIN = join(import.meta.dirname, '../bin');
const APPLETS = 'sh cat echo sleep true false seq kill ls id stty mkdir'.split(' ');
export const IMAGE = 'docker.io/strata/busybox:test';
const DISABLED = [
  'grpc.v1.cri',
  'internal.v1.opt',
  ...['aufs', 'btrfs', 'zfs', 'devmapper'].map((name) => `snapshotter.v1.${name}`),
];

export const hasContainerd = existsSync('/usr/bin/containerd') && existsSync('/usr/bin/ctr');

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export class ContainerdInstance implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'strata-ctd-'));
  readonly rootfs = join(this.directory, 'rootfs');
  readonly shims = join(this.directory, 'strata');
  readonly #address = join(this.directory, 'c.sock');
  readonly #env: Record<string, string>;
  #daemon: ChildProcess | undefined;

  /** @param env for containerd and the shims below it */
  constructor(env: Record<string, string> = {}) {
    this.#env = { STRATA_SHIM_STATE: this.shims, STRATA_SHIM_IDLE_MS: '300', ...env };
    for (const name of ['bin', 'proc', 'dev', 'sys', 'tmp', 'etc']) {
      mkdirSync(join(this.rootfs, name), { recursive: true });
    }
    copyFileSync('/bin/busybox', join(this.rootfs, 'bin/busybox'));
    for (const applet of APPLETS) symlinkSync('busybox', join(this.rootfs, 'bin', applet));
    const config = [
      'version = 2',
      `root = "${this.directory}/root"`,
      `state = "${this.directory}/state"`,
      `disabled_plugins = [${DISABLED.map((name) => `"io.containerd.${name}"`).join(', ')}]`,
      `[grpc]\n  address = "${this.#address}"`,
      `[ttrpc]\n  address = "${this.#address}.ttrpc"`,
    ];
    writeFileSync(join(this.directory, 'config.toml'), `${config.join('\n')}\n`);
  }

  async start(): Promise<void> {
    const config = join(this.directory, 'config.toml');
    const daemon = spawn('/usr/bin/containerd', ['--config', config], {
      env: { ...process.env, ...this.#env, PATH: [BIN, process.env.PATH].join(delimiter) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    daemon.stderr!.on('data', (text) => appendFileSync(join(this.directory, 'log'), text));
    this.#daemon = daemon;
    for (const deadline = Date.now() + 20_000; ; await sleep(20)) {
      if ((await this.ctr('version')).code === 0) return;
      if (Date.now() > deadline) throw new Error(`containerd does not start: ${this.log()}`);
    }
  }

  /** Ends containerd as a crash does, or as a service manager. */
  async stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const daemon = this.#daemon;
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = new Promise((resolve) => daemon.on('exit', resolve));
    daemon.kill(signal);
    await ended;
  }

  /** What containerd and its shims have said of themselves. */
  log(): string {
    const path = join(this.directory, 'log');
    return existsSync(path) ? readFileSync(path, 'utf8').slice(-3000) : '';
  }

  ctr(...args: string[]): Promise<Ran> {
    return run('/usr/bin/ctr', [...this.#globals, ...args]);
  }

  /** A namespace of our own: containerd names cgroups for it. */
  get #globals(): string[] {
    return ['-a', this.#address, '-n', basename(this.directory)];
  }

  /** `ctr run` of our shim. */
  run(flags: readonly string[], id: string, ...command: string[]): Promise<Ran> {
    return this.ctr(...this.runWords(flags, id, command));
  }

  runWords(flags: readonly string[], id: string, command: readonly string[]): string[] {
    const runtime = ['--runtime', 'io.containerd.strata.v1'];
    return ['run', ...runtime, ...flags, '--rootfs', this.rootfs, id, ...command];
  }

  /** The command line of a `ctr`, for a shell. */
  shellWords(...args: string[]): string {
    const words = ['/usr/bin/ctr', ...this.#globals, ...args];
    return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  }

  /** The tasks by id: pid and status. */
  async tasks(): Promise<Map<string, { pid: number; status: string }>> {
    const { stdout } = await this.ctr('tasks', 'list');
    const rows = stdout.trim().split('\n').slice(1).filter(Boolean);
    return new Map(
      rows.map((row) => {
        const [id, pid, status] = row.split(/\s+/) as [string, string, string];
        return [id, { pid: Number(pid), status }];
      }),
    );
  }

  /** Makes an image of the root directory. */
  async importImage(): Promise<void> {
    const layout = join(this.directory, 'layout');
    writeImage(layout, this.rootfs);
    const tar = join(this.directory, 'image.tar');
    execFileSync('tar', ['-C', layout, '-cf', tar, '.']);
    const { code, stderr } = await this.ctr('images', 'import', '--index-name', IMAGE, tar);
    if (code !== 0) throw new Error(`ctr images import: ${stderr}`);
  }

  /** Processes that have our directory in their command line: shims, not keepers. */
  shimPids(): number[] {
    return processesWith(this.shims).filter((pid) => pid !== this.#daemon?.pid);
  }

  /** What is left of containers: processes and mounts below our directory. */
  leftovers(): string[] {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(this.directory));
    const states = existsSync(this.shims)
      ? readdirSync(this.shims).flatMap((group) =>
          ['shim/containers', 'shim/exits', 'oci'].flatMap((name) => {
            const path = join(this.shims, group, name);
            return existsSync(path) ? readdirSync(path).map((entry) => `${name}/${entry}`) : [];
          }),
        )
      : [];
    const cgroups = this.#cgroups().flatMap((parent) =>
      readdirSync(parent, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => join(parent, name)),
    );
    return [...mounts, ...states, ...cgroups];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGTERM');
    for (const deadline = Date.now() + 10_000; this.shimPids().length > 0; await sleep(20)) {
      if (Date.now() > deadline) throw new Error(`a shim stays: ${this.log()}`);
    }
    for (const path of this.#cgroups()) rmdirSync(path);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** The parent of our containers' cgroups, in every hierarchy. */
  #cgroups(): string[] {
    const name = basename(this.directory);
    return readdirSync(CGROUPS)
      .map((hierarchy) => join(CGROUPS, hierarchy, name))
      .filter((path) => existsSync(path));
  }
}

export function run(file: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(file, args, { timeout: 40_000 }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, stdout, stderr });
    });
    child.stdin?.end();
  });
}

function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
      } catch {
        return false; // It has ended.
      }
    })
    .map(Number);
}

/** An OCI image layout of one layer. */
function writeImage(layout: string, rootfs: string): void {
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
  const layer = execFileSync('tar', ['-C', rootfs, '--numeric-owner', '-cf', '-', '.'], {
    maxBuffer: 1 << 28,
  });
  const blob = (bytes: Buffer, mediaType: string) => {
    const digest = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(layout, 'blobs/sha256', digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const type = (name: string) => `application/vnd.oci.image.${name}`;
  const layerDescriptor = blob(layer, type('layer.v1.tar'));
  const config = blob(
    json({
      architecture: process.arch === 'x64' ? 'amd64' : 'arm64',
      os: 'linux',
      config: { Env: ['PATH=/bin'], Cmd: ['/bin/sh'] },
      rootfs: { type: 'layers', diff_ids: [layerDescriptor.digest] },
    }),
    type('config.v1+json'),
  );
  const manifest = blob(
    json({
      schemaVersion: 2,
      mediaType: type('manifest.v1+json'),
      config,
      layers: [layerDescriptor],
    }),
    type('manifest.v1+json'),
  );
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [manifest] }),
  );
}
