/** What a node's own two processes take, whatever the number of its containers. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { serveOneImage, startCriServer } from '@strata/conformance';
import { ShimClient } from '@strata/shim';
import { memoryOf } from '../oci/process-memory.ts';
import { type Contender, measurePaired } from '../paired.ts';
import { type Case, compare } from '../report.ts';
import { PodLife } from './pod-life.ts';

/** PSS of the shim and of the CRI server of one node, after a pod has come and gone. */
export async function nodeMemory(samples: number): Promise<Case[]> {
  await using cleanup = new AsyncDisposableStack();
  const processes = startedOnce(cleanup);
  const measure = (name: 'shim' | 'server'): Contender => ({
    name,
    run: async () => memoryOf([(await processes())[name]]),
  });
  const [shim, server] = await measurePaired([measure('shim'), measure('server')], {
    samples,
    warmUp: 1,
  });
  return [
    compare('shim, one for a node', 'kB', shim!, []),
    compare('CRI server', 'kB', server!, []),
  ];
}

/** Starts a node at the first call; a failure to start it is that of each who asks. */
function startedOnce(cleanup: AsyncDisposableStack) {
  const start = async () => {
    const registry = cleanup.use(await serveOneImage());
    const node = cleanup.use(await startCriServer());
    const logs = join(node.directory, 'logs');
    mkdirSync(logs);
    using life = new PodLife(node.endpoint, registry.image, logs);
    await life.live();
    using client = await ShimClient.connect(join(node.state, 'shim', 'shim.sock'));
    return { shim: await client.shimPid(), server: node.pid };
  };
  let started: ReturnType<typeof start> | undefined;
  return () => {
    started ??= start();
    return started;
  };
}
