/**
 * Suite `cgroups`: what a container's cgroup costs, from its making to its removal.
 *
 *   traced     the calls on cgroup files within one `run`, of all runtimes by the same strace
 *   untraced   the same work through the library: create, limits, a process enters, delete
 */
import { Cgroup, O_WRONLY, Stub } from '@strata/namespaces';
import { ScratchBundle, STRATA_OCI } from '../oci/scratch-bundle.ts';
import { type Contender, measurePaired } from '../paired.ts';
import { type Case, compare } from '../report.ts';
import type { Options } from '../suites.ts';
import { tracedRun } from './traced.ts';

const SAMPLES = 10;
const UNTRACED_SAMPLES = 100;
const LIMITS = {
  cpu: { shares: 512, quota: 100_000, period: 100_000 },
  memory: { limit: 128 << 20 },
  pids: { limit: 64 },
  devices: [{ allow: false, access: 'rwm' }],
};

export async function cgroups({ runtimes, samples }: Options): Promise<Case[]> {
  using bundle = new ScratchBundle(['/bin/true']);
  const programs = Object.entries({ strata: STRATA_OCI, ...runtimes });
  /** The calls of each contender's last run. */
  const calls = new Map<string, number>();
  const traced = programs.map(([name, program]): Contender => {
    const run = (): number => {
      const share = tracedRun(name, program, bundle);
      calls.set(name, share.calls);
      return share.totalMs;
    };
    return { name, run };
  });
  const [strata, ...peers] = await measurePaired(traced, {
    samples: samples ?? SAMPLES,
    warmUp: 1,
  });
  const library = { name: 'strata', run: throughLibrary };
  const [untraced] = await measurePaired([library], {
    samples: samples ?? UNTRACED_SAMPLES,
    warmUp: 5,
  });
  const counts = [...calls].map(([name, count]) => `${name} ${count}`).join(', ');
  return [
    compare(`calls on cgroup files in one run, traced (${counts})`, 'ms', strata!, peers),
    compare('create, limit, enter, delete through the library', 'ms', untraced!, []),
  ];
}

/** The time of the cgroup's part in ms: the process that enters is there before, and gone after. */
function throughLibrary(): number {
  using stub = Stub.spawn();
  const start = performance.now();
  const cgroup = Cgroup.create(`/strata-bench-${process.pid}-cgroup`);
  try {
    cgroup.set(LIMITS);
    for (const [key, path] of Object.entries(cgroup.paths)) {
      const file = key === '' ? 'cgroup.procs' : 'tasks';
      const fd = stub.sys.openat2(`${path}/${file}`, { flags: O_WRONLY });
      stub.sys.write(fd, '0');
      stub.sys.close(fd);
    }
    const entered = performance.now();
    stub.exit();
    const gone = performance.now();
    cgroup.delete();
    return entered - start + (performance.now() - gone);
  } catch (error) {
    stub.exit();
    cgroup.delete();
    throw error;
  }
}
