import type { WrongSolution } from '../../src/wrong-solutions.ts';

const BLUE = `addAddress({ link: index, address: '10.1.0.2', prefixLength: 24 })`;

const wrong: readonly WrongSolution[] = [
  {
    what: 'blue is not switched on',
    change: { [`changeLink(index, { up: true }),\n      ${BLUE}`]: BLUE },
    says: 'an interface that has moved is, whatever it was before',
  },
  {
    what: 'blue has an address without a network',
    change: { [BLUE]: BLUE.replace('24', '32') },
    says: 'a /32 does not',
  },
  {
    what: 'blue has red’s address',
    change: { [BLUE]: BLUE.replace('10.1.0.2', '10.1.0.1') },
    says: 'the address is missing, or another',
  },
  {
    what: 'the descriptor is not red’s',
    change: { 'red.sys.openat2(': 'stage.sys.openat2(', '    red.sys.close(namespaceFd);\n': '' },
    says: 'it must be opened by the one whose socket sends the request',
  },
  {
    what: 'the two are in one network',
    change: { 'blue.sys.unshare(CLONE_NEWNET);': '' },
    says: 'unshare(CLONE_NEWNET) was left out for one of them',
  },
];
export default wrong;
