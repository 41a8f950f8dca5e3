/**
 * Lab 01.3, solved. A new mount namespace is a copy of the list of mounts, and a copy of a shared mount
 * is a member of the same peer group: all members are told of what is mounted below one of them. A slave
 * is told and does not tell. MS_REC makes slaves of all mounts, and not only of `/`.
 */
import type { LabFile } from '@strata/labs';
import { AT_FDCWD, CLONE_NEWNS, MS_BIND, MS_REC, MS_SHARED, MS_SLAVE } from '@strata/namespaces';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const { sys, scratch } = stage;
  const tree = `${scratch}/tree`;
  const hand = stage.spawn('hand');

  stage.step('a tree whose mounts are shared, as those of / are on most machines', () => {
    for (const path of [tree, `${tree}/inside`, `${tree}/outside`]) {
      sys.mkdirat(AT_FDCWD, path, 0o755);
    }
    sys.mount({ source: tree, target: tree, flags: MS_BIND });
    sys.mount({ target: tree, flags: MS_SHARED });
  });

  stage.step('a mount namespace of its own', () => hand.sys.unshare(CLONE_NEWNS));

  stage.step('hear what is mounted outside, and tell nothing', () => {
    hand.sys.mount({ target: '/', flags: MS_SLAVE | MS_REC });
  });

  stage.step('the hand mounts', () => {
    hand.sys.mount({ source: 'hand', target: `${tree}/inside`, type: 'tmpfs' });
  });

  stage.step('the host mounts', () => {
    sys.mount({ source: 'host', target: `${tree}/outside`, type: 'tmpfs' });
  });

  return { hand, tree };
};
export default lab;
