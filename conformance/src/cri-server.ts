/** strata-cri in a scratch directory, as the tests and the benchmarks start it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const LAUNCHER = resolve(import.meta.dirname, '../../layers/05-cri/bin/strata-cri');
const READY_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 10_000;

export interface CriServer extends AsyncDisposable {
  /** `unix://` and the path of the socket. */
  readonly endpoint: string;
  /** A directory for logs and whatever else goes with the server. */
  readonly directory: string;
  readonly pid: number;
}

/**
 * Starts the server and waits until its socket accepts.
 * @throws {Error} with what it said, where it ends or is not ready within 20 s
 */
export async function startCriServer(): Promise<CriServer> {
  const directory = mkdtempSync(join(tmpdir(), 'strata-cri-'));
  const socket = join(directory, 'cri.sock');
  const endpoint = `unix://${socket}`;
  const args = ['serve', '--listen', endpoint];
  args.push('--root', join(directory, 'root'), '--state', join(directory, 'state'));
  const child = spawn(LAUNCHER, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const listen = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-4000);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  try {
    await untilReady(child, socket);
  } catch (error) {
    await end(child);
    throw new Error(`strata-cri: ${(error as Error).message}: ${said.trim()}`);
  }
  return {
    endpoint,
    directory,
    pid: child.pid!,
    async [Symbol.asyncDispose]() {
      await end(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function untilReady(child: ChildProcess, socket: string): Promise<void> {
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

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = sleep(ENDS_WITHIN_MS, 'late', { ref: false });
  if ((await Promise.race([ended, late])) === 'late') {
    child.kill('SIGKILL');
    await ended;
  }
}
