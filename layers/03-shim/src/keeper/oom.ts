/**
 * Whether the kernel killed something in a cgroup for want of memory. To be read before the cgroup
 * is removed: a removed one has taken the answer with it.
 */
import { Cgroup } from '@strata/namespaces';

/** @param cgroups the container's cgroup directories, by hierarchy */
export const wasOomKilled = (cgroups: Readonly<Record<string, string>> = {}): boolean =>
  Cgroup.open(cgroups).oomKills() > 0;
