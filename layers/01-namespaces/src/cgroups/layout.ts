/**
 * Where the control groups of this machine are: cgroup v1 hierarchies, the unified v2 one, or both.
 *
 *   v1      one hierarchy per controller: /sys/fs/cgroup/memory, /sys/fs/cgroup/cpu, ...
 *   v2      one hierarchy with all: /sys/fs/cgroup
 *   hybrid  v1 hierarchies, and a v2 one beside them (/sys/fs/cgroup/unified) with what is left
 *
 * Read from mountinfo, so that it does not depend on where a distribution mounts them.
 *
 * @see cgroups(7)
 */
import { readFileSync } from 'node:fs';
import { StrataError } from '../errors/strata-error.ts';
import { withoutCovered } from '../mounts/covered-mounts.ts';
import { parseMountinfo } from '../mounts/mountinfo.ts';

export interface Hierarchy {
  /** `cpu`, `cpu,cpuacct`, `name=systemd`; '' for v2. */
  key: string;
  version: 1 | 2;
  mountPoint: string;
  /** The cgroup that is mounted there: `/`, or in a container perhaps a lower one. */
  root: string;
  controllers: readonly string[];
}

/** Key of the v2 hierarchy. */
export const UNIFIED_KEY = '';

/** Where one controller of one cgroup has its files. */
export interface ControllerHome {
  version: 1 | 2;
  directory: string;
}

export interface CgroupLayout {
  mode: 'v1' | 'v2' | 'hybrid';
  /** Those that every container is put into: all of v1, or the one of v2. */
  hierarchies: readonly Hierarchy[];
  /** The v2 hierarchy beside those of v1: joined by those who need one of its controllers. */
  unified?: Hierarchy;
}

const V1_CONTROLLERS = new Set([
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'hugetlb',
  'net_cls',
  'net_prio',
  'perf_event',
  'rdma',
  'misc',
]);

/** Where a controller works: in its v1 hierarchy, or in the v2 one; undefined where it is not there. */
export function homeOf(layout: CgroupLayout, controller: string): Hierarchy | undefined {
  const has = ({ controllers }: Hierarchy): boolean => controllers.includes(controller);
  if (layout.unified && has(layout.unified)) return layout.unified;
  return layout.hierarchies.find(has);
}

/** The v2 hierarchy: the only one, or that of a hybrid machine. */
export const unifiedOf = ({ mode, hierarchies, unified }: CgroupLayout): Hierarchy | undefined =>
  mode === 'v2' ? hierarchies[0] : unified;

let detected: CgroupLayout | undefined;

/** The layout of this machine, looked up once. @throws {StrataError} NO_CGROUPS */
export function detectCgroups(): CgroupLayout {
  detected ??= cgroupLayout(readFileSync('/proc/self/mountinfo', 'utf8'), (path) =>
    readFileSync(path, 'utf8'),
  );
  return detected;
}

/**
 * The layout that a mountinfo file describes.
 * @param readText reads cgroup.controllers of a v2 hierarchy
 */
export function cgroupLayout(mountinfo: string, readText: (path: string) => string): CgroupLayout {
  const v1: Hierarchy[] = [];
  let v2: Hierarchy | undefined;
  const seen = new Set<string>();
  const mounts = withoutCovered(parseMountinfo(mountinfo));
  for (const { type, mountPoint, root, superOptions } of mounts) {
    if (type === 'cgroup2' && !v2) {
      const controllers = readText(`${mountPoint}/cgroup.controllers`).split(/\s+/).filter(Boolean);
      v2 = { key: UNIFIED_KEY, version: 2, mountPoint, root, controllers };
    } else if (type === 'cgroup') {
      const controllers = superOptions.filter((option) => V1_CONTROLLERS.has(option));
      const name = superOptions.find((option) => option.startsWith('name='));
      const key = controllers.join(',') || name;
      // The same hierarchy may be mounted at several places; the first is the usual one.
      if (key === undefined || seen.has(key)) continue;
      seen.add(key);
      v1.push({ key, version: 1, mountPoint, root, controllers });
    }
  }
  if (v1.length > 0) {
    return v2 ? { mode: 'hybrid', hierarchies: v1, unified: v2 } : { mode: 'v1', hierarchies: v1 };
  }
  if (v2) return { mode: 'v2', hierarchies: [v2] };
  throw new StrataError('NO_CGROUPS', 'no cgroup file system is mounted', {
    hint: 'mount -t cgroup2 cgroup2 /sys/fs/cgroup',
  });
}
