/**
 * Freezing a container without standing still ourselves: a process in state D keeps its cgroup from
 * being frozen, and other containers' callers must not wait for that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cgroup, StrataError } from '@strata/namespaces';

const LIMIT_MS = 5000;
const LOOK_MS = 5;

/** @throws {StrataError} FREEZE_TIMEOUT after 5 s; it is thawed then. NO_FREEZER */
export async function freezeCgroup(cgroup: Cgroup, id: string): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!cgroup.tryFreeze()) {
    if (performance.now() < deadline) {
      await sleep(LOOK_MS);
      continue;
    }
    cgroup.thaw();
    throw new StrataError('FREEZE_TIMEOUT', `container ${id} cannot be paused`, {
      hint: 'a process in it is in uninterruptible sleep (state D)',
    });
  }
}
