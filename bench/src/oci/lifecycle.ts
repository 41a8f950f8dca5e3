/** Suite `oci`: a container with six namespaces, cgroups and seccomp runs /bin/true and is gone. */
import { measurePaired } from '../paired.ts';
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
  return [
    compare('lifecycle through the library', 'ms', library!, peers),
    compare('lifecycle by one command (run)', 'ms', cli!, peers),
    compare('for scale: spawning /bin/true', 'ms', spawn!, []),
  ];
}
