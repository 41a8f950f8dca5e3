/** Suite `exec`: a further process in a running container, and a life of a container by its four commands. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { localSyscalls, WEXITED } from '@strata/namespaces';
import { Runtime } from '@strata/oci-runtime';
import { type Contender, measurePaired } from '../paired.ts';
import { type Case, compare } from '../report.ts';
import type { Options } from '../suites.ts';
import { type CreatedContainer, command, createdByCommand } from './contenders.ts';
import { ScratchBundle, STRATA_OCI } from './scratch-bundle.ts';

const SAMPLES = 20;
const WARM_UP = 10;
const ID = 'strata-bench';
const SLEEPER = ['/bin/sleep', '1000'];

export async function exec({ runtimes, samples = SAMPLES }: Options): Promise<Case[]> {
  using cleanup = new DisposableStack();
  const rounds = { samples, warmUp: Math.min(WARM_UP, samples) };
  const programs = Object.entries({ 'strata-oci': STRATA_OCI, ...runtimes });
  const [library, cli, ...peers] = await measurePaired(
    [execByLibrary(cleanup), ...programs.map(([name, path]) => execByCommand(name, path, cleanup))],
    rounds,
  );
  const bundle = cleanup.use(new ScratchBundle(SLEEPER, 'lives'));
  const [ours, ...theirs] = await measurePaired(
    programs.map(([name, path]) => ({ name, run: () => fourCommands(path, bundle) })),
    rounds,
  );
  return [
    compare('exec through the library', 'ms', library!, peers),
    compare('exec by command', 'ms', cli!, peers),
    compare('create, start, kill, delete by commands', 'ms', ours!, theirs),
  ];
}

function execByLibrary(cleanup: DisposableStack): Contender {
  const bundle = cleanup.use(new ScratchBundle(SLEEPER, 'library'));
  const runtime = new Runtime({ root: bundle.stateOf('library') });
  const sys = localSyscalls();
  const { process } = JSON.parse(readFileSync(join(bundle.directory, 'config.json'), 'utf8'));
  const again = { ...process, args: ['/bin/true'] };
  runtime.create({ id: ID, bundle: bundle.directory });
  cleanup.defer(() => void runtime.delete(ID, { force: true }));
  runtime.start(ID);
  return {
    name: 'strata',
    run() {
      const { pid } = runtime.exec({ id: ID, process: again });
      const ended = sys.waitid(pid, WEXITED);
      if (ended?.status !== 0) throw new Error(`the process ended with ${ended?.status}`);
      return undefined;
    },
  };
}

function execByCommand(name: string, program: string, cleanup: DisposableStack): Contender {
  let container: CreatedContainer | undefined;
  return {
    name,
    run() {
      if (!container) {
        const bundle = cleanup.use(new ScratchBundle(SLEEPER, name));
        container = cleanup.use(createdByCommand(program, bundle));
        container.start();
      }
      return command(program, ['--root', container.root, 'exec', container.id, '/bin/true']);
    },
  };
}

/** `delete --force`, as all callers do: after a kill, the process may take a moment to end. */
function fourCommands(program: string, bundle: ScratchBundle): undefined {
  const container = createdByCommand(program, bundle);
  try {
    container.start();
    command(program, ['--root', container.root, 'kill', container.id, 'KILL']);
  } finally {
    container[Symbol.dispose]();
  }
}
