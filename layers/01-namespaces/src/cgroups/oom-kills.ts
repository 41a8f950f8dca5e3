/**
 * How many processes of a cgroup the kernel has killed for want of memory.
 *
 *   v1   memory.oom_control    'oom_kill N'     since Linux 4.13
 *   v2   memory.events         'oom_kill N'     those of the cgroups below included
 *
 * To be read before the cgroup is removed: a removed one has taken the answer with it.
 */
import { readCgroupFile } from './cgroup-file.ts';
import type { ControllerHome } from './layout.ts';
import { parseKeyed } from './stats/parse.ts';

/** 0 where the cgroup is not there any more. @throws {StrataError} CGROUP_READ */
export function readOomKills({ version, directory }: ControllerHome): number {
  const file = version === 2 ? 'memory.events' : 'memory.oom_control';
  return parseKeyed(readCgroupFile(`${directory}/${file}`)).get('oom_kill') ?? 0;
}
