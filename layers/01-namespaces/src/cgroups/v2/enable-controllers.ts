/**
 * On v2 a controller works in a cgroup when the subtree_control of its parent names it, and may be
 * named there only when it works in the parent: it is enabled level by level, from the root down.
 *
 * @see Documentation/admin-guide/cgroup-v2.rst, "Controlling Controllers"
 */
import { readCgroupFile, tryWriteCgroupFile } from '../cgroup-file.ts';
import type { Hierarchy } from '../layout.ts';

/**
 * Lets all controllers that can be had work in a cgroup. One that cannot does not keep the others
 * off: a limit that needs it is refused when it is set.
 * @param path of the cgroup, below the mount point
 */
export function enableControllers({ mountPoint, controllers }: Hierarchy, path: string): void {
  enable(mountPoint, path, controllers);
}

function enable(mountPoint: string, path: string, controllers: readonly string[]): void {
  const parent = path.slice(0, path.lastIndexOf('/'));
  const file = `${mountPoint}${parent}/cgroup.subtree_control`;
  const enabled = new Set((readCgroupFile(file) ?? '').trim().split(' '));
  const wanted = controllers.filter((controller) => !enabled.has(controller));
  const refused = wanted.filter((controller) => !tryWriteCgroupFile(file, `+${controller}`));
  if (refused.length === 0 || parent === '') return;
  // The parent was there before, made by somebody who needed fewer controllers.
  enable(mountPoint, parent, refused);
  for (const controller of refused) tryWriteCgroupFile(file, `+${controller}`);
}
