import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'no_new_privs is forgotten',
    change: { '    sys.setNoNewPrivileges();\n': '' },
    says: 'setNoNewPrivileges() before it',
  },
  {
    what: 'directories can be made by another call',
    change: { "['mkdir', 'mkdirat']": "['mkdir']" },
    says: '✗ mkdirat(2) is refused by the filter',
  },
  {
    what: 'all sockets are refused',
    change: { "      args: [{ index: 0, value: 16, op: 'SCMP_CMP_EQ' }],\n": '' },
    says: '✗ a socket of AF_UNIX is not',
  },
  {
    what: 'the wrong argument is compared',
    change: { 'index: 0': 'index: 1' },
    says: '✗ a socket of AF_NETLINK is refused',
  },
  {
    what: 'the comparison is the wrong way round',
    change: { SCMP_CMP_EQ: 'SCMP_CMP_NE' },
    says: '✗ a socket of AF_INET is not',
  },
  {
    what: 'the filter kills',
    change: { "defaultAction: 'SCMP_ACT_ALLOW'": "defaultAction: 'SCMP_ACT_KILL_PROCESS'" },
    says: 'the filter kills where it should refuse',
  },
  {
    what: 'it is still root',
    change: { '    sys.setresuid(1000);\n': '' },
    says: '✗ it is an ordinary user',
  },
];
export default wrong;
