/**
 * `strata-shim serve`: a shim behind a socket, one to a node.
 *
 * The socket is a file in a directory that only root may enter, never an abstract one: that could
 * be reached from a container that shares the host's network (CVE-2020-15257).
 *
 * With no containers and no callers for a while, the process ends; the next caller starts another.
 */
import { chmodSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { describeError } from '@strata/namespaces';
import { ContainerdService } from '../containerd/containerd-service.ts';
import { readContainerdSettings } from '../containerd/shim-group.ts';
import { TtrpcServer } from '../ttrpc/server.ts';
import { Shim } from './shim.ts';
import { shimServices } from './shim-services.ts';

const FIRST_CALLER_MS = 2000;

export interface ServeOptions {
  socket: string;
  state: string;
  /** How long to stay without containers and callers; 0: for ever. */
  idleMs: number;
}

/** Serves until told to end; resolves when it has. */
export async function serve(options: ServeOptions): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const shutdown = (): void => ended.resolve();
  // The lock comes first: whoever holds it owns the socket's path.
  const shim = Shim.open({ state: options.state, onTrouble: report });
  await using containerd = openContainerd(shim, options.state);
  const server = new TtrpcServer({
    ...shimServices(shim, { shutdown, onCreate: (request) => containerd?.expect(request) }),
    ...containerd?.services,
  });
  try {
    makePrivateDirectory(dirname(options.socket));
    rmSync(options.socket, { force: true });
    await server.listen(options.socket);
    chmodSync(options.socket, 0o600);
    process.on('SIGTERM', shutdown);
    process.on('SIGINT', shutdown);
    const idle = watchIdleness({ shim, server, containerd }, { idleMs: options.idleMs, shutdown });
    await ended.promise;
    clearTimeout(idle.timer);
  } finally {
    rmSync(options.socket, { force: true });
    server.close();
    shim[Symbol.dispose]();
  }
}

/** Where containerd has started us, or has started who was here before. */
function openContainerd(shim: Shim, state: string): ContainerdService | undefined {
  const settings = readContainerdSettings(state);
  return settings && new ContainerdService(shim, settings, report);
}

function report(message: string, error: unknown): void {
  process.stderr.write(`strata-shim: ${message}: ${describeError(error)}\n`);
}

/** Makes the directory, or sees to it that an existing one of ours is closed to others. */
function makePrivateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if ((statSync(path).mode & 0o022) !== 0) chmodSync(path, 0o700);
}

function watchIdleness(
  users: { shim: Shim; server: TtrpcServer; containerd: ContainerdService | undefined },
  options: { idleMs: number; shutdown: () => void },
): { timer: NodeJS.Timeout | undefined } {
  const { shim, server, containerd } = users;
  const idle: { timer: NodeJS.Timeout | undefined } = { timer: undefined };
  const look = (leastMs = 0): void => {
    clearTimeout(idle.timer);
    const isUsed = server.connections > 0 || shim.size > 0 || containerd?.isExpecting;
    if (options.idleMs === 0 || isUsed) return;
    idle.timer = setTimeout(options.shutdown, Math.max(options.idleMs, leastMs));
  };
  server.onConnections = () => look();
  if (containerd) containerd.onReleased = look;
  shim.subscribe(() => look());
  // Who has started us is about to connect.
  look(FIRST_CALLER_MS);
  return idle;
}
