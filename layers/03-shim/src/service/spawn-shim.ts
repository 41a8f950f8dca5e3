/**
 * Connecting to a node's shim, and starting it where there is none.
 *
 * Two callers may find no shim at the same time and start one each. That is no harm: the second one
 * finds the first's lock on the state directory and ends, and both callers connect to the first.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StrataError } from '@strata/namespaces';
import { TtrpcClient } from '../ttrpc/client.ts';

export interface SpawnOptions {
  /** Where the shim listens; default: `shim/shim.sock` in the state directory. */
  socket?: string;
  /** The stack's state directory, such as /run/strata. */
  state: string;
  /** The shim's command line, up to `serve`; default: this package's. */
  command?: readonly string[];
  /** How long the shim stays without containers and callers, in milliseconds. */
  idleMs?: number;
}

const START_TIMEOUT_MS = 10_000;
const LOOK_EVERY_MS = 5;

export function defaultSocket(state: string): string {
  return join(state, 'shim', 'shim.sock');
}

export async function connectOrSpawn(options: SpawnOptions): Promise<TtrpcClient> {
  const socket = options.socket ?? defaultSocket(options.state);
  const running = await tryConnect(socket);
  if (running) return running;
  const logPath = join(options.state, 'shim', 'shim.err');
  let child = startShim(options, socket, logPath);
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    await sleep(LOOK_EVERY_MS);
    const client = await tryConnect(socket);
    if (client) return client;
    // It ended: another shim had the lock, and may be gone by now as well.
    if (child.ended && Date.now() + 500 < deadline) {
      await sleep(100);
      child = startShim(options, socket, logPath);
    }
  }
  throw new StrataError('SHIM_NOT_STARTED', `no shim listens at ${socket}`, {
    path: logPath,
    hint: existsSync(logPath) ? readFileSync(logPath, 'utf8').slice(-500) : 'it printed nothing',
  });
}

/** The last two: it was killed between our connect and its accept. */
const NOBODY_THERE = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

async function tryConnect(socket: string): Promise<TtrpcClient | undefined> {
  try {
    return await TtrpcClient.connect(socket);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (NOBODY_THERE.has(String(code))) return undefined;
    throw error;
  }
}

/** Starts a shim that outlives us: a session of its own, none of our descriptors. */
function startShim(options: SpawnOptions, socket: string, logPath: string): { ended: boolean } {
  mkdirSync(dirname(logPath), { recursive: true, mode: 0o700 });
  const [command, ...args] = options.command ?? [LAUNCHER];
  const serve = ['serve', '--socket', socket, '--state', options.state];
  if (options.idleMs !== undefined) serve.push('--idle-ms', String(options.idleMs));
  const log = openSync(logPath, 'a', 0o600);
  try {
    const child = spawn(command!, [...args, ...serve], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log],
    });
    const result = { ended: false };
    child.on('exit', () => {
      result.ended = true;
    });
    child.on('error', () => {
      result.ended = true;
    });
    child.unref();
    return result;
  } finally {
    closeSync(log);
  }
}

/** This package's own launcher; it runs the bundle, or the sources where they are newer. */
const LAUNCHER = join(import.meta.dirname, '../../bin/strata-shim');
