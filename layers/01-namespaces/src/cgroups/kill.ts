/**
 * Killing everything in a cgroup, what is being forked and what pids are reused for included.
 *
 *   v2   one write to cgroup.kill (Linux 5.14)
 *   v1   freeze ─ list ─ pidfd for each ─ list again ─ SIGKILL to those listed twice ─ thaw
 *
 * A pid that is in the second list was, when its pidfd was already open, the pid of a process of this
 * cgroup: no other process is ever hit. Frozen, nothing can fork; where freezing does not succeed
 * (a process in state D, no freezer), rounds go on until nobody is left.
 *
 * @see pidfd_open(2), Documentation/admin-guide/cgroup-v2.rst, "cgroup.kill"
 */
import { ENOENT, ESRCH } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { SIGKILL } from '../syscalls/signals.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { tryWriteCgroupFile } from './cgroup-file.ts';
import { type Freezer, isFreezing, thaw, tryFreeze } from './freezer.ts';
import { Patience } from './patience.ts';
import { processesBelow, subdirectories, whoIsIn } from './tree.ts';

const FREEZE_LIMIT_MS = 200;
const KILL_LIMIT_MS = 5000;

/**
 * @param directory where the processes are listed
 * @param freezer of the same cgroup, if there is one
 * @throws {StrataError} CGROUP_BUSY where processes survive
 */
export function killAll(directory: string, freezer: Freezer | undefined): void {
  if (freezer?.version === 2 && tryWriteCgroupFile(`${freezer.directory}/cgroup.kill`, '1')) return;
  const patience = new Patience(KILL_LIMIT_MS);
  while (processesBelow(directory).length > 0) {
    const frozen = freezer !== undefined && freezeIfThere(freezer);
    try {
      signalMembers(directory);
    } finally {
      // A frozen process of v1 only takes its signal when it thaws.
      if (freezer) thawTree(freezer);
    }
    if (frozen) return;
    if (!patience.pause()) throw survivors(directory);
  }
}

function freezeIfThere(freezer: Freezer): boolean {
  return unlessGone(() => tryFreeze(freezer, FREEZE_LIMIT_MS)) ?? true;
}

/** Thaws it and the cgroups below, which a process inside may have frozen itself. */
function thawTree(freezer: Freezer): void {
  unlessGone(() => thaw(freezer));
  for (const directory of subdirectories(freezer.directory)) {
    const below = { ...freezer, directory };
    if (isFreezing(below)) thawTree(below);
  }
}

/** Undefined where the cgroup was removed meanwhile. */
function unlessGone<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof StrataError && error.errno === ENOENT) return undefined;
    throw error;
  }
}

function signalMembers(directory: string): void {
  const sys = localSyscalls();
  const pidfds = new Map<number, number>();
  try {
    for (const pid of processesBelow(directory)) {
      const fd = sys.attempt('pidfd_open', pid, 0);
      if (fd >= 0) pidfds.set(pid, fd);
      else if (fd !== -ESRCH) throw sys.failure('pidfd_open', -fd, [pid, 0]);
    }
    for (const pid of processesBelow(directory)) {
      const fd = pidfds.get(pid);
      if (fd === undefined) continue;
      const result = sys.attempt('pidfd_send_signal', fd, SIGKILL, null, 0);
      if (result < 0 && result !== -ESRCH) throw sys.failure('pidfd_send_signal', -result, [pid]);
    }
  } finally {
    for (const fd of pidfds.values()) sys.close(fd);
  }
}

function survivors(path: string): StrataError {
  const message = `processes of the cgroup ${path} survive SIGKILL`;
  return new StrataError('CGROUP_BUSY', message, { path, hint: whoIsIn(path) });
}
