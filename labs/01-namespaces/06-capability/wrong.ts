import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'nothing is kept over the change of user',
    change: { '    sys.setKeepCapabilities(true);\n': '' },
    says: 'PR_SET_KEEPCAPS has to come before that',
  },
  {
    what: 'the ambient set is forgotten',
    change: { 'sys.raiseAmbientCapability(': 'void (' },
    says: 'What survives the execve of an ordinary file is the ambient set',
  },
  {
    what: 'the capability is not inheritable',
    change: { 'inheritable: only': 'inheritable: 0n' },
    says: 'must be permitted and inheritable first',
  },
  {
    what: 'one capability too many comes along',
    change: {
      "['CAP_NET_BIND_SERVICE']": "['CAP_NET_BIND_SERVICE', 'CAP_NET_RAW']",
      'sys.raiseAmbientCapability(':
        'sys.raiseAmbientCapability(CAPABILITIES.CAP_NET_RAW!); sys.raiseAmbientCapability(',
    },
    says: 'more was kept than is needed',
  },
  {
    what: 'it stays root',
    change: { '    sys.setresuid(USER);\n': '' },
    says: 'execve makes an almighty root again',
  },
];
export default wrong;
