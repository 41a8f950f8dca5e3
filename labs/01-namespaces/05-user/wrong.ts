import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'setgroups is not given up',
    change: { "    writeText(sys, '/proc/self/setgroups', 'deny');\n": '' },
    says: 'gid_map only after setgroups says deny',
  },
  {
    what: 'the whole range of ids is asked for',
    change: { "'/proc/self/uid_map', '0 1000 1'": "'/proc/self/uid_map', '0 1000 65536'" },
    says: 'one line, for one id',
  },
  {
    what: 'the user stays 1000 inside',
    change: { "'/proc/self/uid_map', '0 1000 1'": "'/proc/self/uid_map', '1000 1000 1'" },
    says: 'the first number of uid_map is the id inside',
  },
  {
    what: 'the groups are forgotten',
    change: { "    writeText(sys, '/proc/self/gid_map', '0 1000 1');\n": '' },
    says: 'nothing is written to gid_map',
  },
  {
    what: 'root makes the namespace, and becomes nobody else',
    change: { '    sys.setresuid(USER);\n': '' },
    says: 'which is one’s own (1000) outside',
  },
];
export default wrong;
