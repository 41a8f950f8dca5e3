import type { WrongSolution } from '../../src/wrong-solutions.ts';

const wrong: readonly WrongSolution[] = [
  {
    what: 'the shell comes into the box with the child outside',
    change: {
      "  stage.step('into the box', () => box.attach(shell.pid));\n": '',
      "'stop', () => box.freeze()": "'stop', () => { box.attach(shell.pid); box.freeze(); }",
    },
    says: 'one of the two is outside of what was stopped',
  },
  {
    what: 'the box is empty when it is frozen',
    change: { 'box.attach(shell.pid)': 'void 0' },
    says: 'the shell was not attached',
  },
  {
    what: 'each process gets a signal',
    change: {
      'box.freeze()': "{ for (let pid = 8; pid < 100; pid++) stage.sys.attempt('kill', pid, 19); }",
    },
    says: 'SIGSTOP was sent',
  },
];
export default wrong;
