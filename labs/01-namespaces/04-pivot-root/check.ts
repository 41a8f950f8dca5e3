import { readdirSync } from 'node:fs';
import {
  type Lab,
  mountsOf,
  namespacesView,
  type Performer,
  processLinkView,
  type Stage,
} from '@strata/labs';
import { errnoOf } from '@strata/namespaces';

export interface Scene {
  hand: Performer;
}

/** Deeper than any path here. */
const STEPS_UP = 64;
const SHOWN = 6;

const lab: Lab<Scene> = {
  needs: [],
  views: [
    namespacesView('mnt'),
    processLinkView('root', 'cwd'),
    {
      title: 'ls /proc/PID/root',
      lines: ({ performers }: Stage) =>
        performers.map(({ title, pid }) => `${title}  ${listing(pid)}`),
    },
    {
      title: 'mounts in /proc/PID/mountinfo',
      lines: ({ performers }: Stage) =>
        performers.map(({ title, pid }) => `${title}  ${mountPoints(pid)}`),
    },
  ],
  refusals: {
    'pivot_root EINVAL': 'the new root is no mount point: bind it to itself',
    'pivot_root EBUSY':
      'the new root is on the mount that is the root now: it must be a mount of its own, and where "." is meant, the process must be in it',
    'umount2 EINVAL':
      'there is no mount at this path: after pivot_root(".", ".") the old root is on top of "."',
    'umount2 EBUSY':
      'the old root is in use, by this process if by no other: MNT_DETACH takes it away all the same',
    'pivot_root ENOENT':
      'the second path is a directory below the new root, where the old root goes',
  },

  check(report, { hand }) {
    report.expect({
      that: 'its root has what was put there',
      expected: 'cellar hello',
      found: listing(hand.pid),
      usually: 'the root is still the host’s: pivot_root(2) was not called, or not by this process',
    });
    report.expect({
      that: 'it sees one mount: its root',
      expected: '/',
      found: mountPoints(hand.pid),
      usually:
        'the old root is still mounted: umount2(".", MNT_DETACH) lets go of it after pivot_root(".", ".")',
    });
    climbOut(hand);
    report.expect({
      that: 'it has tried to climb out, and is where it was',
      expected: 'cellar hello',
      found: listing(hand.pid),
      usually:
        'chroot(2) changes where the paths of one process begin, and leaves what is above that place: whoever may call it again climbs out',
    });
  },
};
export default lab;

function listing(pid: number): string {
  const names = readdirSync(`/proc/${pid}/root`).sort();
  return shorten(names);
}

function mountPoints(pid: number): string {
  return shorten(mountsOf(pid).map(({ mountPoint }) => mountPoint));
}

const shorten = (names: readonly string[]): string =>
  [
    ...names.slice(0, SHOWN),
    ...(names.length > SHOWN ? [`and ${names.length - SHOWN} more`] : []),
  ].join(' ');

/**
 * The old way out of a chroot: move the root deeper, while the working directory stays where it is. It is
 * outside of the root then, and on its way up nothing stops it but the root of the mounts.
 */
function climbOut({ sys }: Performer): void {
  try {
    sys.chdir('/');
    sys.chroot('cellar');
    for (let step = 0; step < STEPS_UP; step++) sys.chdir('..');
    sys.chroot('.');
  } catch (error) {
    // Without a cellar, or without the capability, it stays inside.
    if (errnoOf(error) === undefined) throw error;
  }
}
