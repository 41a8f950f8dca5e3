/** Cgroups below a container's own, for a further process of it: `exec --cgroup`. */
import { existsSync } from 'node:fs';
import { normalize } from 'node:path';
import { StrataError } from '@strata/namespaces';

/** A path below the container's cgroup, in all hierarchies or in those of some controllers. */
export type SubCgroup = string | Readonly<Record<string, string>>;

/**
 * The directories to be entered.
 * @param cgroups the container's own, by the key of their hierarchy
 * @throws {StrataError} INVALID_CGROUP_PATH, NOT_FOUND
 */
export function subCgroups(
  cgroups: Readonly<Record<string, string>>,
  sub: SubCgroup,
): Record<string, string> {
  if (typeof sub === 'string') {
    const below = Object.entries(cgroups).map(([key, base]) => [key, placeBelow(base, sub)]);
    return Object.fromEntries(below);
  }
  const entered = { ...cgroups };
  for (const [controller, path] of Object.entries(sub)) {
    const key = Object.keys(cgroups).find((each) => each.split(',').includes(controller));
    if (key === undefined) {
      const message = `the container has no hierarchy with the controller ${controller}`;
      const hint = 'on cgroup v2 there is one for all: give a path alone';
      throw new StrataError('INVALID_CGROUP_PATH', message, { hint });
    }
    entered[key] = placeBelow(cgroups[key]!, path);
  }
  return entered;
}

function placeBelow(base: string, sub: string): string {
  const path = normalize(`${base}/${sub}`).replace(/\/+$/, '');
  if (path !== base && !path.startsWith(`${base}/`)) {
    throw new StrataError('INVALID_CGROUP_PATH', `${sub} is not below the container's cgroup`);
  }
  if (existsSync(path)) return path;
  throw new StrataError('NOT_FOUND', `there is no cgroup ${path}`, {
    path,
    hint: 'it has to be made before: it is where the process is put, and nobody else removes it',
  });
}
