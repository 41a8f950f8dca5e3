/**
 * strata-cri in a scratch directory, as the tests and the benchmarks start it.
 *
 * Its bridge is in a network namespace of its own, its cgroups below one parent, and its shim ends
 * with it; so the machine is afterwards as it was.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetworkNamespace } from '@strata/namespaces';
import { ShimClient } from '@strata/shim';

const LAUNCHER = resolve(import.meta.dirname, '../../layers/05-cri/bin/strata-cri');
const CGROUPS = '/sys/fs/cgroup';
const READY_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 10_000;

export interface CriServer extends AsyncDisposable {
  /** `unix://` and the path of the socket. */
  readonly endpoint: string;
  /** A directory for logs and whatever else goes with the server. */
  readonly directory: string;
  readonly pid: number;
  /** The manager's state directory. */
  readonly state: string;
}

const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/**
 * Starts the server and waits until its socket accepts.
 * @throws {Error} with what it said, where it ends or is not ready within 20 s
 */
export async function startCriServer(): Promise<CriServer> {
  const directory = mkdtempSync(join(tmpdir(), 'strata-cri-'));
  const socket = join(directory, 'cri.sock');
  const endpoint = `unix://${socket}`;
  // A node's /run is a tmpfs, and so is this.
  const state = mkdtempSync(join(MEMORY, 'strata-cri-state-'));
  const cgroupParent = `/strata-${directory.split('-').at(-1)}`;
  const hostSide = NetworkNamespace.create();
  const args = ['serve', '--listen', endpoint, '--root', join(directory, 'root')];
  args.push('--state', state, '--cgroup-parent', cgroupParent);
  args.push('--host-netns', `/proc/${process.pid}/fd/${hostSide.fd}`);
  const child = spawn(LAUNCHER, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const listen = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-4000);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  const stop = async (): Promise<void> => {
    await end(child);
    await endShim(state);
    hostSide[Symbol.dispose]();
    removeCgroups(cgroupParent);
    for (const path of [directory, state]) rmSync(path, { recursive: true, force: true });
  };
  try {
    await untilReady(child, socket);
  } catch (error) {
    await stop();
    throw new Error(`strata-cri: ${(error as Error).message}: ${said.trim()}`);
  }
  return {
    endpoint,
    directory,
    pid: child.pid!,
    state,
    [Symbol.asyncDispose]: stop,
  };
}

/** Waits until the server's socket accepts. @throws {Error} where it ends or takes too long */
export async function untilReady(child: ChildProcess, socket: string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(existsSync(socket) && (await accepts(socket)))) {
    if (child.exitCode !== null) throw new Error(`ended with exit code ${child.exitCode}`);
    if (Date.now() > deadline) throw new Error(`not ready after ${READY_WITHIN_MS} ms`);
    await sleep(20);
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** Ends a server we have started: asks, and kills it where that does not help. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = sleep(ENDS_WITHIN_MS, 'late', { ref: false });
  if ((await Promise.race([ended, late])) === 'late') {
    child.kill('SIGKILL');
    await ended;
  }
}

/** The shim would end by itself after a while; whoever cleans up does not wait for that. */
async function endShim(state: string): Promise<void> {
  const socket = join(state, 'shim', 'shim.sock');
  if (!existsSync(socket)) return;
  using client = await ShimClient.connect(socket);
  const pid = await client.shimPid();
  await client.shutdown();
  const deadline = Date.now() + ENDS_WITHIN_MS;
  while (existsSync(`/proc/${pid}`) && Date.now() < deadline) await sleep(5);
}

/** The parent stays for other pods. What is inside it should have gone; if not, this throws. */
function removeCgroups(parent: string): void {
  for (const hierarchy of ['', ...readdirSync(CGROUPS)]) {
    const path = join(CGROUPS, hierarchy, parent);
    if (existsSync(path)) rmdirSync(path);
  }
}
