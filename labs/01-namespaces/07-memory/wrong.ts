import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'nobody is in the cgroup',
    change: { 'small.attach(eater.pid);': 'void eater;' },
    says: 'attach comes before exec',
  },
  {
    what: 'the limit is in kilobytes',
    change: { 'limit: 32 << 20, swap: 32 << 20': 'limit: 32 << 10' },
    says: 'or in other units: bytes',
  },
  {
    what: 'we kill it ourselves',
    change: {
      'const status = await': 'stage.sys.kill(eater.pid, 9); const status = await',
      'small.attach(eater.pid)': 'void 0',
      "'bs=256M'": "'bs=1M'",
      "'count=1'": "'count=1000000'",
    },
    says: 'somebody else sent the signal',
  },
  {
    what: 'the neighbour is meant',
    change: { 'small.attach(eater.pid)': 'small.attach(neighbour.pid)' },
    says: 'in the eater’s place',
  },
];
export default wrong;
