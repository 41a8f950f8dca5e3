/** Suite `oci`: a container with six namespaces, cgroups and seccomp runs /bin/true and is gone. */
import { Runtime } from '@strata/oci-runtime';
import { measurePaired, type Outcome } from '../paired.ts';
import { type Case, compare } from '../report.ts';
import type { Options } from '../suites.ts';
import { command, commandLifecycle, libraryLifecycle } from './contenders.ts';
import { ScratchBundle, STRATA_OCI } from './scratch-bundle.ts';

const SAMPLES = 20;
/** Enough for V8 to compile what runs often, as it is in a shim that has served some containers. */
const WARM_UP = 20;
const IN_ROW = 5;

export async function lifecycle({ runtimes, samples = SAMPLES }: Options): Promise<Case[]> {
  using bundle = new ScratchBundle(['/bin/true']);
  const [library, cli, spawn, ...peers] = await measurePaired(
    [
      libraryLifecycle(bundle),
      commandLifecycle('strata-oci', STRATA_OCI, bundle),
      { name: 'spawn', run: () => command('/bin/true', []) },
      ...Object.entries(runtimes).map(([name, path]) => commandLifecycle(name, path, bundle)),
    ],
    { samples, warmUp: Math.min(WARM_UP, 2 * samples), inRow: IN_ROW },
  );
  const { alone, crowded } = await amongOthers(bundle, samples);
  return [
    compare('lifecycle through the library', 'ms', library!, peers),
    compare('the same among 200 containers', 'ms', crowded, [alone]),
    compare('lifecycle by one command (run)', 'ms', cli!, peers),
    compare('for scale: spawning /bin/true', 'ms', spawn!, []),
  ];
}

const OTHERS = 200;

/** The life of a container alone, and while others of the same library and state are alive. */
async function amongOthers(
  bundle: ScratchBundle,
  samples: number,
): Promise<{ alone: Outcome; crowded: Outcome }> {
  const rounds = { samples, warmUp: IN_ROW, inRow: IN_ROW };
  const [alone] = await measurePaired([libraryLifecycle(bundle)], rounds);
  using crowd = new DisposableStack();
  const sleeping = crowd.use(new ScratchBundle(['/bin/sleep', '1000'], 'crowd'));
  const runtime = new Runtime({ root: bundle.stateOf('library') });
  for (let index = 0; index < OTHERS; index += 1) {
    const id = `strata-bench-${index}`;
    runtime.create({ id, bundle: sleeping.directory, spec: sleeping.specFor(id) });
    crowd.defer(() => void runtime.delete(id, { force: true }));
    runtime.start(id);
  }
  const [crowded] = await measurePaired([libraryLifecycle(bundle)], rounds);
  return { alone: { ...alone!, name: 'alone' }, crowded: crowded! };
}
