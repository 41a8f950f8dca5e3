/**
 * The container's cgroup: where it is, how it is made, and its limits.
 *
 *                         the machine's root       rootless
 *   linux.cgroupsPath     there, or an error       there, or an error
 *   not given             /strata/ID               near our own cgroup, where that is permitted;
 *                                                  else the container stays in ours
 *
 * @see runtime-spec config-linux.md#cgroups-path
 */
import { type CgroupResources, detectCgroups, pathNearby, StrataError } from '@strata/namespaces';
import type { ContainerCgroup } from '../plan/creator.ts';
import type { Creation } from '../plan/step.ts';

/** Where a container's cgroup is to be. */
export function cgroupPath(creation: Pick<Creation, 'id' | 'spec' | 'rootless'>): string {
  const { id, spec, rootless } = creation;
  const path = spec.linux?.cgroupsPath;
  if (path) return path;
  return rootless ? pathNearby(`strata-${id}`, detectCgroups()) : `/strata/${id}`;
}

/** @throws {StrataError} as `Cgroup.create` */
export function makeCgroup(creation: Creation): ContainerCgroup {
  const { creator, rootless, spec } = creation;
  const mayDoWithout = rootless && !spec.linux?.cgroupsPath;
  return creator.makeCgroup(cgroupPath(creation), mayDoWithout);
}

/** @throws {StrataError} CGROUP_LIMIT */
export function setLimits(
  cgroup: ContainerCgroup,
  resources: CgroupResources,
  rootless = false,
): void {
  if (!rootless) {
    cgroup.set(resources);
    return;
  }
  const { devices, ...others } = resources;
  cgroup.set(others);
  if (!devices) return;
  try {
    cgroup.set({ devices });
  } catch (error) {
    // Not to be expected to work, as in runc: v2 wants CAP_BPF, v1 a cgroup that is ours.
    if (!(error instanceof StrataError) || error.code !== 'CGROUP_LIMIT') throw error;
  }
}
