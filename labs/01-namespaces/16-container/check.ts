import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import {
  cgroupView,
  type Lab,
  type LabCgroup,
  namespacesView,
  type Performer,
  processFileView,
  type Report,
  statusField,
  statusView,
} from '@strata/labs';
import {
  type CapabilityState,
  NAMESPACE_KINDS,
  type NamespaceKind,
  parseMountinfo,
} from '@strata/namespaces';

export interface Scene {
  container: Performer;
  cgroup: LabCgroup;
}

/** What the program shall have of the five capability sets: nothing. */
export const noPrivileges: CapabilityState = {
  effective: 0n,
  permitted: 0n,
  inheritable: 0n,
  bounding: 0n,
  ambient: 0n,
};

const KINDS: readonly NamespaceKind[] = ['pid', 'mnt', 'uts', 'ipc', 'net'];

function checkNamespaces(report: Report, pid: number): void {
  for (const kind of KINDS) {
    const ours = readlinkSync(`/proc/self/ns/${kind}`);
    const theirs = readlinkSync(`/proc/${pid}/ns/${kind}`);
    report.expect({
      that: `it has a ${kind} namespace of its own`,
      expected: `not ${ours}`,
      found: theirs,
      holds: ours !== theirs,
      usually: `the flags of the clone lack the one of this kind (see ${NAMESPACE_KINDS[kind].manual})`,
    });
  }
  report.expect({
    that: 'it is PID 1 there',
    expected: 1,
    found: statusField(pid, 'NSpid')?.split(/\s+/).at(-1),
    usually:
      'the PID namespace was made by unshare(2), which is for the children only, or not at all',
  });
}

function checkRoot(report: Report, pid: number): void {
  report.expect({
    that: 'its root has what was put there, and nothing of the host',
    expected: 'bin proc tmp',
    found: readdirSync(`/proc/${pid}/root`).sort().join(' '),
    usually: 'pivot_root(2) was not called, or the program was started before it',
  });
  report.expect({
    that: 'its root is the root of its mount namespace, not a directory in it',
    expected: '/',
    found: readlinkSync(`/proc/${pid}/root`),
    usually: 'chroot(2) hides the old root and leaves it mounted: pivot_root(2) takes its place',
  });
  const mounts = parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
  report.expect({
    that: 'it sees three mounts: its root, busybox, /proc',
    expected: '/ /bin/busybox /proc',
    found: mounts
      .map(({ mountPoint }) => mountPoint)
      .sort()
      .slice(0, 6)
      .join(' '),
    usually: 'the old root is still there: umount2(".", MNT_DETACH) lets go of it after pivot_root',
  });
}

function checkPrivileges(report: Report, pid: number): void {
  for (const field of ['CapEff', 'CapBnd', 'NoNewPrivs']) {
    const expected = field === 'NoNewPrivs' ? '1' : '0000000000000000';
    report.expect({
      that: `${field} of its status is ${expected}`,
      expected,
      found: statusField(pid, field),
      usually:
        field === 'NoNewPrivs'
          ? 'setNoNewPrivileges() was not called by the container'
          : 'the capabilities were not given up, or in the wrong process, or the bounding set was left out',
    });
  }
}

const lab: Lab<Scene> = {
  needs: ['busybox', 'pids cgroups', 'memory cgroups'],
  views: [
    namespacesView(...KINDS),
    processFileView('mountinfo'),
    statusView('NSpid', 'CapEff', 'NoNewPrivs'),
    cgroupView('pids.max', 'memory.max', 'memory.limit_in_bytes', 'cgroup.procs'),
  ],

  check(report, { container, cgroup }) {
    const { pid } = container;
    checkNamespaces(report, pid);
    checkRoot(report, pid);
    checkPrivileges(report, pid);
    const members = Object.values(cgroup.paths).map((path) =>
      readFileSync(`${path}/cgroup.procs`, 'utf8').split('\n').includes(String(pid)),
    );
    report.expect({
      that: 'it is in the cgroup with the limits',
      expected: 'in each hierarchy',
      found: `in ${members.filter(Boolean).length} of ${members.length}`,
      holds: members.every(Boolean),
      usually:
        'attach was not called, or for the launcher, whose children made before stay where they are',
    });
    report.expect({
      that: 'it runs the program',
      expected: 'busybox',
      found: readlinkSync(`/proc/${pid}/exe`).split('/').at(-1),
      usually: 'exec was not called: it is still a stub',
    });
  },
};
export default lab;
