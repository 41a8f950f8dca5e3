import { existsSync, readFileSync } from 'node:fs';
import { cgroupView, type Lab, type LabCgroup, type Performer, statusField } from '@strata/labs';
import { type CgroupPaths, type ChildStatus, readOomKills, SIGKILL } from '@strata/namespaces';

export interface Scene {
  small: LabCgroup;
  neighbour: Performer;
  /** How the eater has ended. */
  status: ChildStatus | undefined;
}

const LIMIT_BYTES = 32 << 20;
const CLD_EXITED = 1;

const lab: Lab<Scene> = {
  needs: ['busybox', 'memory cgroups', 'swap accounting'],
  views: [
    cgroupView(
      'memory.max',
      'memory.limit_in_bytes',
      'memory.peak',
      'memory.max_usage_in_bytes',
      'memory.events',
      'memory.oom_control',
      'cgroup.procs',
    ),
  ],

  check(report, { small, neighbour, status }) {
    const memory = memoryOf(small.paths);
    const limit = memory.read('memory.max', 'memory.limit_in_bytes');
    report.expect({
      that: 'the cgroup has a limit of 32 MiB',
      expected: LIMIT_BYTES,
      found: limit,
      usually:
        'no limit was set (v1 shows a very large number, v2 "max"), or in other units: bytes',
    });
    report.expect({
      that: 'the program was killed',
      expected: 'by signal 9',
      found: describe(status),
      usually:
        limit === String(LIMIT_BYTES)
          ? 'it was not in the cgroup when it began: attach comes before exec'
          : 'nothing stopped it: it had its 256 MiB and went',
    });
    report.expect({
      that: 'it was the kernel who killed it, for want of memory',
      expected: 'oom_kill 1',
      found: `oom_kill ${readOomKills(memory)}`,
      holds: readOomKills(memory) > 0,
      usually: 'somebody else sent the signal, or nobody did',
    });
    const state = statusField(neighbour.pid, 'State');
    const isInside = memory.read('cgroup.procs').split('\n').includes(String(neighbour.pid));
    report.expect({
      that: 'the neighbour has not noticed',
      expected: 'alive, outside of the cgroup',
      found: `${state?.startsWith('Z') ? 'ended' : 'alive'}, ${isInside ? 'in' : 'outside of'} the cgroup`,
      usually: 'the neighbour was attached too, or in the eater’s place',
    });
  },
};
export default lab;

/** The cgroup's directory with the memory controller: one of v1's, or v2's only one. */
function memoryOf(paths: CgroupPaths) {
  const version: 1 | 2 = paths.memory === undefined ? 2 : 1;
  const directory = paths.memory ?? paths['']!;
  /** The first of the files that is there. */
  const read = (...files: readonly string[]): string => {
    const path = files.map((file) => `${directory}/${file}`).find((each) => existsSync(each));
    return path === undefined ? '' : readFileSync(path, 'utf8').trim();
  };
  return { version, directory, read };
}

function describe(status: ChildStatus | undefined): string {
  if (!status) return 'unknown';
  if (status.code === CLD_EXITED) return `exit status ${status.status}`;
  return status.status === SIGKILL ? 'by signal 9' : `by signal ${status.status}`;
}
