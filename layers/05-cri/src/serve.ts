/**
 * `strata-cri serve`: opens the manager, serves until SIGTERM or SIGINT, closes in reverse.
 *
 * A second signal does not wait for calls under way. Containers and their shim go on in either case.
 */
import { resolve } from 'node:path';
import { Manager, type ManagerOptions } from '@strata/manager';
import { traceToFile } from '@strata/namespaces';
import { socketPath } from './server/listening-socket.ts';
import { CriServer } from './server/server.ts';
import { criServices } from './services.ts';

export interface ServeOptions {
  /** `unix://` and an absolute path. */
  readonly listen: string;
  /** Images, and what outlives a reboot. */
  readonly root: string;
  /** What a reboot ends. */
  readonly state: string;
  /** Spans are appended to this file. */
  readonly trace?: string | undefined;
  /** Name of the pod network's bridge. */
  readonly bridge?: string | undefined;
  /** The pod network: `10.88.0.0/16`. */
  readonly subnet?: string | undefined;
  /** Lets pods reach the world behind the node's address. */
  readonly masquerade: boolean;
  /** Where bridges live: a network namespace's path. */
  readonly hostNetns?: string | undefined;
  /** Parent of the cgroups of pods that name none. */
  readonly cgroupParent?: string | undefined;
}

/**
 * Serves until a signal comes.
 * @throws EADDRINUSE if a server listens there already
 */
export async function serveUntilSignalled(options: ServeOptions): Promise<void> {
  const path = socketPath(options.listen);
  startTrace(options.trace);
  await using manager = await Manager.open(managerOptions(options));
  const server = await CriServer.listen({ path, services: criServices(manager, options.root) });
  process.stdout.write(`strata-cri: listening on unix://${path}\n`);
  // In the background: calls are answered from here on, and Status tells if it fails.
  manager.ready().catch(() => undefined);
  await signalled();
  process.once('SIGTERM', () => process.exit(1)).once('SIGINT', () => process.exit(1));
  await server.close();
}

/** The shim, which this process may start, writes its part of the trace into the same file. */
function startTrace(path: string | undefined): void {
  if (path !== undefined) process.env.STRATA_TRACE = resolve(path);
  traceToFile('strata-cri');
}

function managerOptions(options: ServeOptions): ManagerOptions {
  const { root, state, bridge, subnet, masquerade, hostNetns, cgroupParent } = options;
  return {
    root,
    state,
    hostNetns,
    cgroupParent,
    network: {
      ipMasq: masquerade,
      ...(bridge !== undefined && { bridge }),
      ...(subnet !== undefined && { subnet }),
    },
  };
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve());
  });
}
