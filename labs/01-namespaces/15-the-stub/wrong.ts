import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'it is the call itself that is named',
    change: { 'listing[call + 1]': 'listing[call]' },
    says: 'the kernel names the instruction after it',
  },
];
export default wrong;
