/**
 * `strata-cri serve`: opens the manager, serves until SIGTERM or SIGINT, closes in reverse.
 *
 * A second signal does not wait for calls under way. Containers and their shim go on in either case.
 */
import { traceToFile } from '@strata/namespaces';
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
}

/**
 * Serves until a signal comes.
 * @throws EADDRINUSE if a server listens there already
 */
export async function serveUntilSignalled(options: ServeOptions): Promise<void> {
  traceToFile('strata-cri', options.trace);
  const server = await CriServer.listen({ endpoint: options.listen, services: criServices() });
  process.stdout.write(`strata-cri: listening on unix://${server.path}\n`);
  await signalled();
  process.once('SIGTERM', () => process.exit(1)).once('SIGINT', () => process.exit(1));
  await server.close();
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve());
  });
}
