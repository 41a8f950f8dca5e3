/**
 * Suite `memory`: what a container costs beside its own program, in kB of PSS.
 *
 * Before `start` the init is still the runtime's: Strata's stub, runc's and crun's own code. With
 * a keeper is how the shim makes containers: the keeper stays as long as the container does.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Runtime } from '@strata/oci-runtime';
import { nodeMemory } from '../cri/node-memory.ts';
import { type Contender, measurePaired } from '../paired.ts';
import { type Case, compare } from '../report.ts';
import type { Options } from '../suites.ts';
import { createdByCommand } from './contenders.ts';
import { memoryOf, processTree } from './process-memory.ts';
import { ScratchBundle } from './scratch-bundle.ts';

const SAMPLES = 7;
const ID = 'strata-bench';
const PROGRAM = ['/bin/sleep', '1000'];

export async function memory({ runtimes, samples = SAMPLES }: Options): Promise<Case[]> {
  using bundle = new ScratchBundle(PROGRAM);
  const [bare, kept, running, ...peers] = await measurePaired(
    [
      { name: 'strata', run: () => created(bundle, false) },
      { name: 'strata-keeper', run: () => created(bundle, true) },
      { name: 'strata-running', run: () => keeperOfRunning(bundle) },
      ...Object.entries(runtimes).map(([name, path]) => createdByPeer(name, path, bundle)),
    ],
    { samples, warmUp: 1 },
  );
  return [
    compare('created container', 'kB', bare!, peers),
    compare('created container with its keeper', 'kB', kept!, peers),
    compare('keeper of a running container', 'kB', running!, []),
    ...(await nodeMemory(samples)),
  ];
}

function created(bundle: ScratchBundle, withKeeper: boolean): number {
  using container = create(bundle, withKeeper);
  return memoryOf(container.processes);
}

function keeperOfRunning(bundle: ScratchBundle): number {
  using container = create(bundle, true);
  container.runtime.start(ID);
  return memoryOf([container.keeper!]);
}

function create(bundle: ScratchBundle, withKeeper: boolean) {
  const runtime = new Runtime({ root: bundle.stateOf('library') });
  const exitFile = join(bundle.directory, 'exit');
  if (withKeeper) writeFileSync(exitFile, '');
  const { pid, keeperPid } = runtime.create({
    id: ID,
    bundle: bundle.directory,
    ...(withKeeper && { keeper: { exitFile } }),
  });
  return {
    runtime,
    keeper: keeperPid,
    processes: keeperPid === undefined ? [pid] : [keeperPid, pid],
    [Symbol.dispose]: () => runtime.delete(ID, { force: true }),
  };
}

function createdByPeer(name: string, program: string, bundle: ScratchBundle): Contender {
  return {
    name,
    run() {
      using container = createdByCommand(program, bundle);
      return memoryOf(processTree(container.state().pid));
    },
  };
}
