/** Processes of a cgroup: who may be in it, and how they get there. */
import { EBUSY, ESRCH } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { writeCgroupFile } from './cgroup-file.ts';
import { directoryOfProcess } from './cgroup-path.ts';
import { type CgroupLayout, UNIFIED_KEY, unifiedOf } from './layout.ts';
import { processesBelow } from './tree.ts';

/** Moves a process into the directories of a cgroup. See `Cgroup.attach`. */
export function attachProcess(
  paths: Readonly<Record<string, string>>,
  layout: CgroupLayout,
  { pid, beside }: { pid: number; beside: number | undefined },
): void {
  for (const [key, directory] of Object.entries(paths)) {
    try {
      moveProcess(directory, pid);
    } catch (error) {
      const isSpread = key === UNIFIED_KEY && errnoOf(error) === EBUSY;
      if (!isSpread || beside === undefined) throw error;
      moveProcess(placeBelow(directory, beside, layout), pid);
    }
  }
}

/** The cgroup below `directory` that a process is in. */
function placeBelow(directory: string, pid: number, layout: CgroupLayout): string {
  const place = directoryOfProcess(pid, unifiedOf(layout)!);
  if (place.startsWith(`${directory}/`)) return place;
  const message = `process ${pid} is in ${place}, not below ${directory}`;
  throw new StrataError('CGROUP_WRITE', message, { path: place, errno: EBUSY });
}

/** @throws {StrataError} CGROUP_WRITE */
export function moveProcess(directory: string, pid: number, { mayBeGone = false } = {}): void {
  try {
    writeCgroupFile(`${directory}/cgroup.procs`, String(pid), 'attach to cgroup');
  } catch (error) {
    if (!mayBeGone || errnoOf(error) !== ESRCH) throw error;
  }
}

/** @throws {StrataError} CGROUP_IN_USE */
export function refuseIfUsed(path: string): void {
  const pids = processesBelow(path);
  if (pids.length === 0) return;
  const message = `the cgroup ${path} has processes: ${pids.slice(0, 5).join(', ')}`;
  const hint = 'another container has this cgroupsPath';
  throw new StrataError('CGROUP_IN_USE', message, { path, field: 'linux.cgroupsPath', hint });
}
