/** Lab 01.16: a container by hand, in forty lines. Three steps are yours. */
import { findProgram, type LabFile } from '@strata/labs';
import {
  CLONE_NEWNS,
  CLONE_NEWPID,
  MS_BIND,
  MS_NODEV,
  MS_NOSUID,
  MS_PRIVATE,
  MS_REC,
} from '@strata/namespaces';
import type { Scene } from './check.ts';
import { makeRootfs } from './rootfs.ts';

const lab: LabFile<Scene> = (stage) => {
  const root = makeRootfs(stage, findProgram('busybox')!);
  const cgroup = stage.cgroup('container', { pids: { limit: 16 }, memory: { limit: 64 << 20 } });
  const launcher = stage.spawn('launcher');

  const container = stage.step('a process in new namespaces, PID 1 there', () => {
    // Yours: three kinds of namespace are missing.
    const flags = CLONE_NEWPID + CLONE_NEWNS;
    return launcher.clone('container', { flags });
  });
  const { sys } = container;

  stage.step('limits, from outside', () => cgroup.attach(container.pid));

  stage.step('a name of its own', () => sys.sethostname('box'));

  stage.step('a root of its own, and nothing of the old one', () => {
    sys.mount({ target: '/', flags: MS_REC | MS_PRIVATE });
    sys.mount({ source: root, target: root, flags: MS_BIND | MS_REC });
    sys.chroot(root); // Yours: chroot leaves the old root mounted. Lab 01.4 knows better.
    sys.mount({ source: 'proc', target: '/proc', type: 'proc', flags: MS_NOSUID | MS_NODEV });
  });

  stage.step('no privileges, and none to come', () => {
    // Yours: `noPrivileges` of check.ts says which capabilities, and there is one thing more to say.
  });

  stage.step('the program', () => {
    container.exec('/bin/busybox', ['sh', '-c', 'hostname; ps; sleep 1000'], { PATH: '/bin' });
  });

  return { container, cgroup };
};
export default lab;
