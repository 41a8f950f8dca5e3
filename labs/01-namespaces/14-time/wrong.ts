import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'it is another clock that is ahead',
    change: { '`boottime ': '`monotonic ' },
    says: 'or another clock or number',
  },
  {
    what: 'the parent has no namespace to give',
    change: {
      'parent.sys.unshare(CLONE_NEWTIME)': 'void CLONE_NEWTIME',
      'writeText(stage.sys,': 'if (!stage) writeText(stage,',
    },
    says: 'unshare(CLONE_NEWTIME) was not called by the parent',
  },
];
export default wrong;
