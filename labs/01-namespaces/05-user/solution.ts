/**
 * Lab 01.5, solved. A map has lines of three numbers: first id inside, first id outside, how many. Without
 * privileges outside, it may have one line for one id, one's own; and before the groups are mapped, the
 * process must give up setgroups(2), by which it could leave a group that is there to keep it out.
 */
import { type LabFile, writeText } from '@strata/labs';
import { AT_FDCWD, CLONE_NEWUSER, O_CREAT } from '@strata/namespaces';
import type { Scene } from './check.ts';

/** An ordinary user of the host; nobody has to have an entry in /etc/passwd. */
const USER = 1000;

const lab: LabFile<Scene> = (stage) => {
  const home = `${stage.scratch}/home`;
  stage.sys.mkdirat(AT_FDCWD, home, 0o755);
  stage.sys.fchownat({ dirfd: AT_FDCWD, path: home, uid: USER, gid: USER });
  const hand = stage.spawn('hand');
  const { sys } = hand;

  stage.step('an ordinary user', () => {
    sys.setgroups([]);
    sys.setresgid(USER);
    sys.setresuid(USER);
    // Who changes its ids is no longer "dumpable", and its files in /proc are root's from then on.
    sys.setDumpable(true);
  });

  stage.step('a user namespace of its own', () => sys.unshare(CLONE_NEWUSER));

  stage.step('who it is in there', () => {
    writeText(sys, '/proc/self/uid_map', '0 1000 1');
    writeText(sys, '/proc/self/setgroups', 'deny');
    writeText(sys, '/proc/self/gid_map', '0 1000 1');
  });

  stage.step('a file', () => writeText(sys, `${home}/file`, 'mine\n', O_CREAT));

  return { hand, home };
};
export default lab;
