import { readlinkSync } from 'node:fs';
import { type Lab, mountsOf, mountsView, namespacesView, type Performer } from '@strata/labs';
import { type MountInfo, parsePropagation, propagationType } from '@strata/namespaces';

export interface Scene {
  hand: Performer;
  tree: string;
}

const lab: Lab<Scene> = {
  needs: [],
  views: [namespacesView('mnt'), mountsView('tree')],
  refusals: {
    'mount EINVAL':
      'the target of a change of propagation is a mount point, and there is one flag of it (MS_REC beside it)',
  },

  check(report, { hand, tree }) {
    const ours = mountsOf(process.pid);
    const theirs = mountsOf(hand.pid);
    const has = (mounts: readonly MountInfo[], name: string): boolean =>
      mounts.some(({ mountPoint }) => mountPoint === `${tree}/${name}`);
    const type = propagationOf(theirs, tree);

    report.expect({
      that: 'the process has a mount namespace of its own',
      expected: `not ${readlinkSync('/proc/self/ns/mnt')}`,
      found: readlinkSync(`/proc/${hand.pid}/ns/mnt`),
      holds: readlinkSync('/proc/self/ns/mnt') !== readlinkSync(`/proc/${hand.pid}/ns/mnt`),
      usually: 'unshare(CLONE_NEWNS) was not called, or not in this process',
    });
    report.expect({
      that: 'the tree of the host is shared as before',
      expected: 'shared',
      found: propagationOf(ours, tree),
      usually: 'the propagation was changed by the host (stage.sys), and not by the hand',
    });
    report.expect({
      that: 'both have mounted',
      expected: 'inside, outside',
      found: [has(theirs, 'inside') && 'inside', has(ours, 'outside') && 'outside']
        .filter(Boolean)
        .join(', '),
      usually: 'one of the last two steps was left out',
    });
    report.expect({
      that: 'the host does not see what the hand has mounted',
      expected: 'no mount there',
      found: has(ours, 'inside') ? `${tree}/inside` : 'no mount there',
      usually: type.startsWith('shared')
        ? 'the hand’s tree is a peer of the host’s: its propagation was not changed before it mounted. Changing `/` alone does nothing to mounts below it: MS_REC'
        : 'the propagation was changed after the hand had mounted',
    });
    report.expect({
      that: 'the hand sees what the host has mounted',
      expected: `${tree}/outside`,
      found: has(theirs, 'outside') ? `${tree}/outside` : 'no mount there',
      usually:
        type === 'private'
          ? 'a private mount hears nothing: a slave does'
          : 'the host’s tree is not the master of the hand’s',
    });
  },
};
export default lab;

/** shared, private, private,slave ... */
function propagationOf(mounts: readonly MountInfo[], path: string): string {
  const mount = mounts.find(({ mountPoint }) => mountPoint === path);
  return mount ? propagationType(parsePropagation(mount.optionalFields)) : 'not a mount';
}
