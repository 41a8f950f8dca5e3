/**
 * Mounts that stand in mountinfo and that no path leads to, because another one lies over them.
 *
 *   31  on 23  /sys/fs/cgroup      tmpfs
 *   32  on 31  /sys/fs/cgroup/cpu  cgroup   covered: the way to it leads into 40
 *   40  on 31  /sys/fs/cgroup      tmpfs    lies over 31
 *
 * So it is in a container within a container, where what the outer one has mounted cannot be
 * unmounted, and whoever wants something else there mounts over it.
 *
 * @see path_resolution(7): each mount point on the way is crossed into what is mounted there
 */
import type { MountInfo } from './mountinfo.ts';

type Place = Pick<MountInfo, 'id' | 'parentId' | 'mountPoint'>;

/** Those that their mount points lead to, in the same order. */
export function withoutCovered<T extends Place>(mounts: readonly T[]): T[] {
  const ids = new Set(mounts.map(({ id }) => id));
  // What the root directory's own mount is on is not listed, or is that mount itself.
  const childrenOf = Map.groupBy(mounts, ({ id, parentId }) =>
    parentId !== id && ids.has(parentId) ? parentId : undefined,
  );
  const leadsTo = (path: string): T | undefined => {
    const crossed = new Set<T>();
    for (let at: T | undefined; ; crossed.add(at)) {
      const next = firstOnTheWay(childrenOf.get(at?.id) ?? [], path);
      // A text that no kernel has written may go round in a circle.
      if (!next || crossed.has(next)) return at;
      at = next;
    }
  };
  return mounts.filter((mount) => leadsTo(mount.mountPoint) === mount);
}

function firstOnTheWay<T extends Place>(children: readonly T[], path: string): T | undefined {
  let first: T | undefined;
  for (const child of children) {
    const isShorter = !first || child.mountPoint.length < first.mountPoint.length;
    if (isShorter && isWithin(path, child.mountPoint)) first = child;
  }
  return first;
}

const isWithin = (path: string, directory: string): boolean =>
  directory === '/' || path === directory || path.startsWith(`${directory}/`);
