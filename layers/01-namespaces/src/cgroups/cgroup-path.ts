/**
 * Which directory of a hierarchy a cgroup path means.
 *
 *   /strata/web   from the root of the hierarchy, as far as it is mounted here
 *   strata/web    from the cgroup that this process is in, which can be another in each hierarchy
 *
 * That is how runc reads `linux.cgroupsPath`. Paths come from outside: no part may be `..`.
 *
 *   /proc/PID/cgroup:   4:memory:/a/b        hierarchy, its controllers, path in it
 *                       1:name=systemd:/a
 *                       0::/a                the v2 hierarchy
 *
 * @see runtime-spec config-linux.md#cgroups-path, cgroups(7)
 */
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { StrataError } from '../errors/strata-error.ts';
import type { CgroupLayout, Hierarchy } from './layout.ts';

/** @throws {StrataError} INVALID_CGROUP_PATH */
export function validateCgroupPath(path: string): void {
  const names = path.split('/');
  const isPlain =
    /[^/]/.test(path) &&
    !/[\0\n]/.test(path) &&
    !names.some((name) => name === '..' || name === '.');
  if (isPlain) return;
  throw new StrataError('INVALID_CGROUP_PATH', `invalid cgroup path ${JSON.stringify(path)}`, {
    field: 'linux.cgroupsPath',
    hint: 'give a path below the hierarchy, such as /strata/web, without "." and ".."',
  });
}

/**
 * The path below the mount point of a hierarchy, with a leading slash.
 * @param own what /proc/self/cgroup holds; only asked for where the path is relative
 */
export function pathInHierarchy(
  path: string,
  hierarchy: Hierarchy,
  own: () => ReadonlyMap<string, string> = ownCgroups,
): string {
  if (path.startsWith('/')) return path;
  const base = belowMount(own().get(hierarchy.key) ?? '/', hierarchy) ?? '';
  return `${base}/${path}`;
}

/**
 * A path of /proc/PID/cgroup as one below the mount point, '' for the mount point itself; undefined
 * for what is not mounted. What is mounted may be a part only: /docker/1234 in a container.
 */
function belowMount(path: string, { root }: Hierarchy): string | undefined {
  const isBelow = root === '/' || path === root || path.startsWith(`${root}/`);
  if (!isBelow) return undefined;
  const below = path.slice(root === '/' ? 0 : root.length);
  return below === '/' ? '' : below;
}

/**
 * The directory of the cgroup that a process is in.
 * @throws {StrataError} NO_CGROUP where it is not in what is mounted; Node's error with errno where the
 *   process has ended
 */
export function directoryOfProcess(pid: number, hierarchy: Hierarchy): string {
  const path = parseProcessCgroups(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).get(hierarchy.key);
  // '/..' leads out of the part that our cgroup namespace shows.
  const isShown = path !== undefined && !path.startsWith('/..');
  const below = isShown ? belowMount(path, hierarchy) : undefined;
  if (below !== undefined) return hierarchy.mountPoint + below;
  const message = `process ${pid} is in no cgroup below ${hierarchy.mountPoint}`;
  throw new StrataError('NO_CGROUP', message, { path: path ?? hierarchy.mountPoint });
}

/**
 * Where a user without privileges may be able to make a cgroup.
 *
 *   v1   below the cgroup that this process is in, in each hierarchy
 *   v2   beside it: one with processes cannot have controllers for those below it
 */
export function pathNearby(name: string, { mode, hierarchies }: CgroupLayout): string {
  if (mode !== 'v2') return name;
  const [unified] = hierarchies;
  const own = directoryOfProcess(process.pid, unified!).slice(unified!.mountPoint.length);
  return posix.join('/', posix.dirname(own), name);
}

/** By hierarchy. @throws as `directoryOfProcess` */
export function directoriesOfProcess(pid: number, layout: CgroupLayout): Record<string, string> {
  const all = layout.hierarchies.concat(layout.unified ?? []);
  return Object.fromEntries(all.map((each) => [each.key, directoryOfProcess(pid, each)]));
}

const ownCgroups = (): ReadonlyMap<string, string> =>
  parseProcessCgroups(readFileSync('/proc/self/cgroup', 'utf8'));

/**
 * Key of the hierarchy ('' for v2) → path in it.
 * @throws {StrataError} INVALID_CGROUP_FILE naming the line
 */
export function parseProcessCgroups(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  text.split('\n').forEach((line, index) => {
    if (line === '') return;
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (!match) {
      const message = `cgroup file, line ${index + 1} is malformed: ${JSON.stringify(line.slice(0, 200))}`;
      throw new StrataError('INVALID_CGROUP_FILE', message);
    }
    paths.set(match[1]!, match[2]!);
  });
  return paths;
}
