/**
 * What `delete` takes away, by how far the container had come.
 *
 *   complete       its processes, its cgroup, its state; then the poststop hooks
 *   interrupted    its creator was killed: the same, as far as it can have been made
 *   under way      its name: whoever is making it finds that out, at the latest when it is made, and
 *                  undoes what there is; that is waited for
 */
import { Cgroup, isFrozenCgroup, StrataError } from '@strata/namespaces';
import type { Warn } from '../hooks/hooks.ts';
import { removeHostMounts } from '../rootfs/host-mounts.ts';
import { runPoststopHooks } from './create.ts';
import { killAndReap } from './signal.ts';
import type { ContainerRecord, StateStore } from './state-store.ts';

/** A creation that takes longer is waiting for something that it does not have in its hands. */
const UNDO_LIMIT_MS = 5000;

/** Removes a container that stands on its own. */
export function releaseContainer(store: StateStore, record: ContainerRecord, warn: Warn): void {
  thawToEnd(record);
  killAndReap(record.init, { stillThere: () => thawToEnd(record) });
  const cgroup = Cgroup.open(record.cgroups, { made: record.cgroupsMade });
  // The end of its PID 1 ends a PID namespace; without one of its own, what the init has started
  // lives on after it.
  if (!record.hasOwnPidNamespace && cgroup.processes().length > 0) cgroup.kill();
  killAndReap(record.keeper);
  removeHostMounts(record);
  cgroup.delete();
  store.remove(record.id);
  runPoststopHooks(record, warn);
}

/** What is frozen on cgroup v1 does not end. */
function thawToEnd({ cgroups }: ContainerRecord): void {
  if (isFrozenCgroup(cgroups)) Cgroup.open(cgroups).kill();
}

/** Removes a container that is half made. */
export function releaseCreation(store: StateStore, record: ContainerRecord, warn: Warn): void {
  const { id } = record;
  const creation = store.creationOf(id);
  // Its processes are there once they are to live on without the creator; before, they end with it.
  const next = store.readNext(id);
  const reap = creation === undefined;
  killAndReap(next?.init, { reap });
  killAndReap(next?.keeper, { reap });
  if (creation) {
    store.remove(id);
    creation.awaitEnd(UNDO_LIMIT_MS);
    return;
  }
  removeHostMounts(record);
  removeUnfinishedCgroup(next ?? record);
  store.remove(id);
  runPoststopHooks(record, warn);
}

/**
 * What a creation that was killed half-way had perhaps made. Its processes have died with it, so one
 * with processes is that of another container with the same path, made since: it is left alone.
 */
function removeUnfinishedCgroup({ cgroups, cgroupsMade, cgroupsToMake }: ContainerRecord): void {
  const cgroup = cgroupsToMake
    ? Cgroup.open(cgroupsToMake)
    : Cgroup.open(cgroups, { made: cgroupsMade });
  try {
    cgroup.delete();
  } catch (error) {
    if (!(error instanceof StrataError) || error.code !== 'CGROUP_BUSY') throw error;
  }
}
