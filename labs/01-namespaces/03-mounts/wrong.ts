import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'the hand’s mounts are private',
    change: { 'MS_SLAVE | MS_REC': 'MS_PRIVATE | MS_REC', 'MS_SLAVE }': 'MS_PRIVATE }' },
    says: 'a private mount hears nothing',
  },
  {
    what: 'only the root is made a slave',
    change: { 'MS_SLAVE | MS_REC': 'MS_SLAVE', ', MS_REC': '' },
    says: 'Changing `/` alone does nothing to mounts below it: MS_REC',
  },
  {
    what: 'it is the host whose mounts become slaves',
    change: { 'hand.sys.mount({ target': 'stage.sys.mount({ target' },
    says: 'the propagation was changed by the host',
  },
  {
    what: 'the two have one list of mounts',
    change: { 'hand.sys.unshare(CLONE_NEWNS)': 'void CLONE_NEWNS' },
    says: 'unshare(CLONE_NEWNS) was not called',
  },
  {
    what: 'it is the host that leaves',
    change: { 'hand.sys.unshare(': 'stage.sys.unshare(' },
    says: 'stage.sys was asked, which is the lab',
  },
];
export default wrong;
