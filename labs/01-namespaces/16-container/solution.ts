/**
 * Lab 01.16, solved: a container by hand. No call in it is about containers; the kernel has no such
 * word. What makes one is that all of them are made for the same process, in this order:
 *
 *   limits first, from outside, so that there is no moment without them
 *   namespaces with the clone, so that the process is born as PID 1
 *   mounts, while it still has the privileges for them; the old root goes last
 *   privileges at the very end, when nothing needs them any more; then the program
 */
import { findProgram, type LabFile } from '@strata/labs';
import {
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  MNT_DETACH,
  MS_BIND,
  MS_NODEV,
  MS_NOSUID,
  MS_PRIVATE,
  MS_REC,
  setCapabilities,
} from '@strata/namespaces';
import { noPrivileges, type Scene } from './check.ts';
import { makeRootfs } from './rootfs.ts';

const lab: LabFile<Scene> = (stage) => {
  const root = makeRootfs(stage, findProgram('busybox')!);
  const cgroup = stage.cgroup('container', { pids: { limit: 16 }, memory: { limit: 64 << 20 } });
  const launcher = stage.spawn('launcher');

  const container = stage.step('a process in new namespaces, PID 1 there', () => {
    const flags = CLONE_NEWPID + CLONE_NEWNS + CLONE_NEWUTS + CLONE_NEWIPC + CLONE_NEWNET;
    return launcher.clone('container', { flags });
  });
  const { sys } = container;

  stage.step('limits, from outside', () => cgroup.attach(container.pid));

  stage.step('a name of its own', () => sys.sethostname('box'));

  stage.step('a root of its own, and nothing of the old one', () => {
    sys.mount({ target: '/', flags: MS_REC | MS_PRIVATE });
    sys.mount({ source: root, target: root, flags: MS_BIND | MS_REC });
    sys.chdir(root);
    sys.pivotRoot('.', '.');
    sys.umount('.', MNT_DETACH);
    sys.chdir('/');
    sys.mount({ source: 'proc', target: '/proc', type: 'proc', flags: MS_NOSUID | MS_NODEV });
  });

  stage.step('no privileges, and none to come', () => {
    setCapabilities(sys, noPrivileges);
    sys.setNoNewPrivileges();
  });

  stage.step('the program', () => {
    container.exec('/bin/busybox', ['sh', '-c', 'hostname; ps; sleep 1000'], { PATH: '/bin' });
  });

  return { container, cgroup };
};
export default lab;
