/**
 * How a process that has just been cloned gets into its cgroup.
 *
 * On cgroup v1 it puts itself there: writing 0, the caller, to `tasks` moves one thread and spares the
 * kernel the lock that cgroup.procs takes for a whole process, which waits for an RCU grace period
 * (milliseconds, once per container). Where the process is in a user namespace, or in the mount
 * namespace of a container, it cannot open these files; then its launcher has opened them before.
 *
 * @see cgroups(7), kernel/cgroup/cgroup.c, cgroup_procs_write_start()
 */
import {
  type Descriptor,
  detectCgroups,
  O_WRONLY,
  type Syscalls,
  UNIFIED_KEY,
} from '@strata/namespaces';
import type { ContainerCgroup, Worker } from './creator.ts';

/** Descriptors, in the executing process, of the `tasks` files of cgroup v1; none on v2. */
export function openTaskFiles(
  sys: Syscalls,
  paths: Readonly<Record<string, string>>,
): Descriptor[] {
  if (detectCgroups().mode === 'v2') return [];
  // On a hybrid machine the v2 hierarchy may be one of them, which has no file for single threads.
  const files = Object.entries(paths).map(([key, path]) =>
    sys.openat2Later(`${path}/${key === UNIFIED_KEY ? 'cgroup.procs' : 'tasks'}`, {
      flags: O_WRONLY,
    }),
  );
  return files;
}

/**
 * Moves `process`, a clone of `launcher`, into the cgroup.
 * @param options.taskFds what the launcher has opened, which is closed; default: `process` opens them
 * @param options.beside a process that is in it already: see `Cgroup.attach`
 */
export function enterCgroup(options: {
  cgroup: ContainerCgroup;
  launcher: Worker;
  process: Worker;
  taskFds: readonly Descriptor[] | undefined;
  beside?: number | undefined;
}): void {
  const { cgroup, launcher, process, taskFds, beside } = options;
  if (detectCgroups().mode === 'v2') {
    cgroup.attach(process.pid, { beside });
    return;
  }
  // Those that the process opens are closed with all its other descriptors before it starts.
  for (const fd of taskFds ?? openTaskFiles(process.sys, cgroup.paths))
    process.sys.order('write', fd, '0', 1);
  // Not close_range(2): what the keeper holds (10, 11, ...) lies in between.
  for (const fd of taskFds ?? []) launcher.sys.close(fd);
}
