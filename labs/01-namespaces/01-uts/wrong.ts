import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'the name is taken too early',
    change: {
      'hand.sys.unshare(CLONE_NEWUTS);':
        "hand.sys.sethostname('inside'); hand.sys.unshare(CLONE_NEWUTS);",
    },
    says: 'the process was still in the namespace of the host when it took the name',
  },
  {
    what: 'it is the lab that leaves',
    change: { 'hand.sys.unshare': 'stage.sys.unshare' },
    says: 'stage.sys was asked, which is the lab',
  },
  {
    what: 'a namespace of another kind is left',
    change: { 'unshare(CLONE_NEWUTS)': 'unshare(0x08000000 + 0 * CLONE_NEWUTS)' },
    says: 'unshare(CLONE_NEWUTS) was not called',
  },
];
export default wrong;
