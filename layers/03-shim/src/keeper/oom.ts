/**
 * Whether the kernel killed something in a cgroup for want of memory. To be read before the cgroup
 * is removed: a removed one has taken the answer with it.
 *
 *   v1   memory.oom_control    'oom_kill N'
 *   v2   memory.events         'oom_kill N'
 */
import { readFileSync } from 'node:fs';
import { errnoOf, StrataError } from '@strata/namespaces';

const FILES = ['memory.oom_control', 'memory.events'];

/** @param cgroups the container's cgroup directories, by hierarchy */
export function wasOomKilled(cgroups: Record<string, string> | undefined): boolean {
  for (const directory of new Set(Object.values(cgroups ?? {}))) {
    for (const file of FILES) {
      const count = /^oom_kill (\d+)$/m.exec(readIfThere(`${directory}/${file}`))?.[1];
      if (count !== undefined && Number(count) > 0) return true;
    }
  }
  return false;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) !== undefined) return '';
    throw new StrataError('OOM_UNKNOWN', `cannot read ${path}`, { path, cause: error });
  }
}
