import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'there is no work directory',
    change: { "    sys.fsconfigSet(context, 'workdir', work);\n": '    void work;\n' },
    says: 'an upper directory needs a workdir',
  },
  {
    what: 'there is no upper directory',
    change: {
      "    sys.fsconfigSet(context, 'workdir', work);\n": '    void work;\n',
      "    sys.fsconfigSet(context, 'upperdir', changes);\n":
        "    sys.fsconfigSet(context, 'lowerdir+', changes);\n",
      "'lowerdir', image": "'lowerdir+', image",
    },
    says: 'nowhere to put what is written',
  },
  {
    what: 'above and below are exchanged',
    change: {
      "'lowerdir', image": "'lowerdir', changes",
      "'upperdir', changes": "'upperdir', image",
    },
    says: 'the image was written to',
  },
  {
    what: 'the mount is attached nowhere',
    change: { 'sys.moveMount(mount, place);': '' },
    says: 'the overlay is mounted nowhere yet',
  },
  {
    what: 'it is a copy of the image',
    change: {
      "const context = sys.fsopen('overlay');":
        "for (const name of ['/greeting', '/junk']) writeText(sys, root + name, '', O_CREAT); if (sys) return; const context = 0;",
    },
    says: '✗ the root is an overlay',
  },
];
export default wrong;
