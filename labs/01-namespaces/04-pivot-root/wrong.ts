import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'the old root stays mounted',
    change: { "    sys.umount('.', MNT_DETACH);\n": '', '  MNT_DETACH,\n': '' },
    says: 'the old root is still mounted',
  },
  {
    what: 'the tree is no mount',
    change: {
      'sys.mount({ source: root, target: root, flags: MS_BIND | MS_REC });': 'void MS_BIND;',
    },
    says: 'the new root is no mount point',
  },
  {
    what: 'the working directory is elsewhere',
    change: { '    sys.chdir(root);\n': '' },
    says: 'where "." is meant, the process must be in it',
  },
];
export default wrong;
