/** cgroup v1 `memory`. @see Documentation/admin-guide/cgroup-v1/memory.rst */
import { type CgroupWrite, type Controller, write } from '../resources.ts';

export const memory: Controller = ({ memory: limits = {} }) => [
  // Memory and swap together must never be less than memory alone; that order is right for a new
  // cgroup, and applyLimits() takes the other one when limits of a running one are raised.
  ...write('memory.limit_in_bytes', limits.limit || undefined, 'memory.limit'),
  ...swap(limits.limit, limits.swap),
  ...write('memory.soft_limit_in_bytes', limits.reservation || undefined, 'memory.reservation'),
  ...write('memory.kmem.tcp.limit_in_bytes', limits.kernelTCP || undefined, 'memory.kernelTCP'),
  ...write('memory.swappiness', limits.swappiness, 'memory.swappiness'),
  ...write(
    'memory.oom_control',
    limits.disableOOMKiller ? 1 : undefined,
    'memory.disableOOMKiller',
  ),
];

/** Without a limit for memory there can be none for the sum. A kernel without swap has no file for it. */
function swap(limit = 0, sum = 0): CgroupWrite[] {
  const value = sum === 0 && limit < 0 ? -1 : sum || undefined;
  const writes = write('memory.memsw.limit_in_bytes', value, 'memory.swap');
  return value === -1 ? writes.map((each) => ({ ...each, isOptional: true })) : writes;
}
