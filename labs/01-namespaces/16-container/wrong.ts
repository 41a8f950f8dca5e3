import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'the root is changed by chroot',
    change: {
      "    sys.chdir(root);\n    sys.pivotRoot('.', '.');\n    sys.umount('.', MNT_DETACH);\n":
        '    sys.chroot(root);\n    void MNT_DETACH;\n',
    },
    says: 'chroot(2) hides the old root and leaves it mounted',
  },
  {
    what: 'the launcher is limited, after the clone',
    change: { 'cgroup.attach(container.pid)': 'cgroup.attach(launcher.pid)' },
    says: 'or for the launcher',
  },
  {
    what: 'privileges can come back',
    change: { '    sys.setNoNewPrivileges();\n': '' },
    says: 'setNoNewPrivileges() was not called',
  },
  {
    what: 'the bounding set is left full',
    change: {
      'setCapabilities(sys, noPrivileges)':
        'setCapabilities(sys, { ...noPrivileges, bounding: 1n })',
    },
    says: '✗ CapBnd of its status is',
  },
];
export default wrong;
