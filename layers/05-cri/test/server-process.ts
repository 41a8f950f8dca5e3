/**
 * strata-cri as a process of its own, in a network and a mount namespace of its own, in a scratch
 * directory: what a test does there touches nothing of the machine and is gone afterwards.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CriClient } from '../src/client/cri-client.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** The server has its socket within this time, or something is wrong. */
const START_LIMIT_MS = 20_000;

export class ServerProcess implements AsyncDisposable {
  readonly directory: string;
  readonly endpoint: string;
  readonly root: string;
  readonly state: string;
  readonly logs: string;
  readonly cgroupParent: string;
  /** Holds the namespaces, so that a second server finds those of the first. */
  readonly #holder: ChildProcess;
  #child: ChildProcess | undefined;
  #client: CriClient | undefined;
  #output = '';
  #mountNamespace: string | undefined;

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'strata-cri-'));
    this.endpoint = `unix://${join(this.directory, 'run', 'cri.sock')}`;
    this.root = join(this.directory, 'lib');
    this.state = join(this.directory, 'state');
    this.logs = join(this.directory, 'logs');
    this.cgroupParent = `/${basename(this.directory)}`;
    const namespaces = ['--net', '--mount', '--propagation', 'private'];
    this.#holder = spawn('unshare', [...namespaces, 'sleep', 'infinity'], { stdio: 'ignore' });
  }

  /** A command line that runs `command` in the server's namespaces. */
  inside(...command: string[]): [string, string[]] {
    return ['nsenter', ['--target', `${this.#holder.pid}`, '--net', '--mount', '--', ...command]];
  }

  get client(): CriClient {
    this.#client ??= new CriClient(this.endpoint);
    return this.#client;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** All that the process has written. */
  get output(): string {
    return this.#output;
  }

  /** Starts it, or starts it again, and waits until it answers. @param more further options */
  async start(...more: string[]): Promise<void> {
    const { directory, endpoint, root, state } = this;
    const options = ['--listen', endpoint, '--root', root, '--state', state];
    options.push('--cgroup-parent', this.cgroupParent, ...more);
    await this.#namespacesExist();
    const child = spawn(...this.inside(process.execPath, MAIN, 'serve', ...options), {
      cwd: directory,
      env: {},
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    const limit = setTimeout(() => reject(new Error('no socket in time')), START_LIMIT_MS);
    const collect = (chunk: Buffer): void => {
      this.#output += chunk.toString();
      if (this.#output.includes('listening on')) resolve();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('exit', (code) => reject(new Error(`exited with ${code}: ${this.#output}`)));
    await ready.finally(() => clearTimeout(limit));
    this.#output = '';
  }

  async #namespacesExist(): Promise<void> {
    const command = `/proc/${this.#holder.pid}/comm`;
    while (readFileSync(command, 'utf8') !== 'sleep\n') await sleep(1);
  }

  /** Sends `signal` and waits for the end of the process; gives its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return null;
    this.#client?.[Symbol.dispose]();
    this.#client = undefined;
    const ended = once(child, 'exit');
    child.kill(signal);
    const [code] = await ended;
    return code as number | null;
  }

  /** Other processes than the server that have to do with it: shim, keepers, containers. */
  processes(): string[] {
    const name = basename(this.directory);
    this.#mountNamespace ??= readlinkSync(`/proc/${this.#holder.pid}/ns/mnt`);
    const own = [process.pid, this.#child?.pid, this.#holder.pid].map(String);
    return readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid) && !own.includes(pid))
      .flatMap((pid) => {
        const command = ifThere(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
        const cgroups = ifThere(() => readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
        const namespace = ifThere(() => readlinkSync(`/proc/${pid}/ns/mnt`));
        const isRelated =
          command.includes(name) || cgroups.includes(name) || namespace === this.#mountNamespace;
        return isRelated ? [`${pid} ${command.replaceAll('\0', ' ')}`] : [];
      });
  }

  /** What containers and pods leave behind if something is wrong: mounts, cgroups, interfaces. */
  leftovers(): string[] {
    const mounts = readFileSync(`/proc/${this.#holder.pid}/mountinfo`, 'utf8')
      .split('\n')
      .filter((line) => line.includes(this.directory));
    const cgroups = readdirSync('/sys/fs/cgroup')
      .flatMap((hierarchy) => cgroupsBelow(join('/sys/fs/cgroup', hierarchy, this.cgroupParent)))
      .filter((path) => OURS.test(basename(path)));
    const [command, args] = this.inside('ip', '-o', 'link', 'show', 'type', 'veth');
    const interfaces = execFileSync(command, args, { encoding: 'utf8' }).split('\n');
    return [...mounts, ...cgroups, ...interfaces.filter((line) => line !== '')];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#endShim();
    this.#holder.kill('SIGKILL');
    for (const hierarchy of readdirSync('/sys/fs/cgroup')) {
      removeCgroup(join('/sys/fs/cgroup', hierarchy, this.cgroupParent));
    }
    rmSync(this.directory, { recursive: true });
  }

  /** The shim outlives the server by design; a test's must not outlive the test. */
  async #endShim(): Promise<void> {
    for (const line of this.processes()) {
      const pid = Number.parseInt(line, 10);
      ifThere(() => process.kill(pid, 'SIGKILL'));
    }
    for (let i = 0; i < 100 && this.processes().length > 0; i++) await sleep(20);
  }
}

/** The value, or '' if what it is about has gone meanwhile. */
function ifThere<T>(look: () => T): T | '' {
  try {
    return look();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Some of another user's, or of a kernel thread's, may not be looked at.
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return '';
    throw error;
  }
}

/** A pod's cgroup or a container's; a parent that a caller has named is the caller's. */
const OURS = /^(pod-)?[0-9a-f]{64}$/;

/** Every cgroup below a path, deepest first. */
function cgroupsBelow(path: string): string[] {
  const entries = ifThere(() => readdirSync(path, { withFileTypes: true })) || [];
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name))
    .flatMap((child) => [...cgroupsBelow(child), child]);
}

/** Removes a cgroup and those below it; their processes have ended. */
function removeCgroup(path: string): void {
  if (!existsSync(path)) return;
  for (const child of cgroupsBelow(path)) rmdirSync(child);
  rmdirSync(path);
}
