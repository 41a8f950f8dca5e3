import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'the number asked for is the one that the host sees',
    change: { 'waitid(2,': 'waitid(worker.pid,' },
    says: 'number 1 has no such child',
  },
  {
    what: 'only the child is asked about',
    change: { '    init.sys.waitid(3, WEXITED);\n': '' },
    says: '✗ nothing is left of the orphan',
  },
  {
    what: 'number 1 is ended, and the kernel clears away the rest',
    change: {
      'init.sys.waitid(2, WEXITED);\n    init.sys.waitid(3, WEXITED);': 'void WEXITED; init.end();',
    },
    says: 'somebody has ended init',
  },
];
export default wrong;
