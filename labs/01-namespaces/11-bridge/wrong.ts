import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'the switch is off',
    change: { "{ kind: 'bridge' }, up: true }": "{ kind: 'bridge' } }" },
    says: 'a new link is down unless it is told otherwise',
  },
  {
    what: 'one cable is not plugged in',
    change: { "['red', 'green', 'blue'] as const": "['red', 'green'] as const" },
    says: '✗ blue’s cable is plugged into the switch',
  },
  {
    what: 'a cable is plugged into a cable',
    change: { "netlink.link('switch')!.index": "netlink.link('port-blue')!.index" },
    says: 'only a bridge, or another kind that has ports, can be a master',
  },
];
export default wrong;
