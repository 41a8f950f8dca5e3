/** Lab 01.4: a root without a way out. */
import { type LabFile, writeText } from '@strata/labs';
import { AT_FDCWD, CLONE_NEWNS, MS_BIND, MS_PRIVATE, MS_REC, O_CREAT } from '@strata/namespaces';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const root = `${stage.scratch}/root`;
  const hand = stage.spawn('hand');
  const { sys } = hand;

  stage.step('a small tree', () => {
    for (const path of [root, `${root}/cellar`]) stage.sys.mkdirat(AT_FDCWD, path, 0o755);
    writeText(stage.sys, `${root}/hello`, 'you are inside\n', O_CREAT);
  });

  stage.step('a mount namespace in which nobody is told anything', () => {
    sys.unshare(CLONE_NEWNS);
    sys.mount({ target: '/', flags: MS_REC | MS_PRIVATE });
  });

  stage.step('the tree becomes a mount: what is to be a root must be one', () => {
    sys.mount({ source: root, target: root, flags: MS_BIND | MS_REC });
  });

  stage.step('the tree becomes the root', () => {
    // Yours: this line hides the old root. Put the new one in its place, and let go of the old one.
    sys.chroot(root);
    sys.chdir('/');
  });

  return { hand };
};
export default lab;
