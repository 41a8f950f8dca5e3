/** Suite `cli`: what the command costs over the bare Node that it runs on, and beside its peers. */
import { type Contender, measurePaired } from '../paired.ts';
import { type Case, compare } from '../report.ts';
import type { Options } from '../suites.ts';
import {
  type CreatedContainer,
  command,
  commandLifecycle,
  createdByCommand,
} from './contenders.ts';
import { ScratchBundle, STRATA_OCI } from './scratch-bundle.ts';

const SAMPLES = 40;

export async function commands({ runtimes, samples = SAMPLES }: Options): Promise<Case[]> {
  const rounds = { samples, warmUp: 4 };
  const programs = Object.entries({ 'strata-oci': STRATA_OCI, ...runtimes });
  const bareNode = { name: 'node -e 0', run: () => command(process.execPath, ['-e', '0']) };

  using cleanup = new DisposableStack();
  const bundle = cleanup.use(new ScratchBundle(['/bin/true']));
  const run = await measurePaired(
    programs.map(([name, path]) => commandLifecycle(name, path, bundle)),
    rounds,
  );
  const state = await measurePaired(
    [bareNode, ...programs.map(([name, path]) => stateOfCreated(name, path, cleanup))],
    rounds,
  );
  const version = await measurePaired(
    [bareNode, ...programs.map(([name, path]) => versionOf(name, path))],
    rounds,
  );
  return [
    compare('run', 'ms', run[0]!, run.slice(1)),
    compare('state', 'ms', state[1]!, [state[0]!, ...state.slice(2)]),
    compare('--version', 'ms', version[1]!, [version[0]!, ...version.slice(2)]),
  ];
}

/** `state` of a container that the first call makes, so that a failure to make it counts. */
function stateOfCreated(name: string, program: string, cleanup: DisposableStack): Contender {
  let container: CreatedContainer | undefined;
  return {
    name,
    run() {
      container ??= cleanup.use(
        createdByCommand(program, cleanup.use(new ScratchBundle(['/bin/true'], name))),
      );
      return command(program, ['--root', container.root, 'state', container.id]);
    },
  };
}

function versionOf(name: string, program: string): Contender {
  return { name, run: () => command(program, ['--version']) };
}
