import { expect, test } from 'vitest';
import { type Flag, parseFlags, Values } from './flags.ts';

const FLAGS: Readonly<Record<string, Flag>> = {
  bundle: { type: 'string', short: 'b', help: '' },
  env: { type: 'string', short: 'e', multiple: true, help: '' },
  tty: { type: 'boolean', short: 't', help: '' },
  detach: { type: 'boolean', short: 'd', help: '' },
};
const parse = (...args: string[]) => parseFlags(args, FLAGS, false);

test.each([
  [['--bundle', 'x'], { bundle: 'x' }],
  [['--bundle=x'], { bundle: 'x' }],
  [['--bundle='], { bundle: '' }],
  [['--bundle', '-1'], { bundle: '-1' }],
  [['--bundle', '--tty'], { bundle: '--tty' }],
  [['-b', 'x'], { bundle: 'x' }],
  [['-bx'], { bundle: 'x' }],
  [['-b=x=y'], { bundle: 'x=y' }],
  [['-bundle', 'x'], { bundle: 'x' }],
  [['-bundle=x'], { bundle: 'x' }],
  [['-b', 'x', '-b', 'y'], { bundle: 'y' }],
  [['-e', 'A=1', '--env=B=2', '-eC=3'], { env: ['A=1', 'B=2', 'C=3'] }],
  [['-td'], { tty: true, detach: true }],
  [['-tbx'], { tty: true, bundle: 'x' }],
  [['--tty=false', '-d=true'], { tty: false, detach: true }],
  [['--tty', '--tty=0'], { tty: false }],
  [['-b', 'two\nlines'], { bundle: 'two\nlines' }],
])('%j', (args, values) => {
  expect(parse(...args)).toEqual({ values, positionals: [] });
});

test('words that are no flags may come between them, and all after -- are such', () => {
  expect(parse('a', '-t', '-', '--', '-d', '--')).toEqual({
    values: { tty: true },
    positionals: ['a', '-', '-d', '--'],
  });
});

test("a command's own flags are left to it", () => {
  const args = ['-t', 'ls', '-d', '--', 'x'];
  expect(parseFlags(args, FLAGS, true)).toEqual({
    values: { tty: true },
    positionals: ['ls', '-d', '--', 'x'],
  });
  expect(parseFlags(['-t', '--', '-d'], FLAGS, true).positionals).toEqual(['-d']);
});

test.each([
  [['--nothing'], 'unknown option "--nothing"'],
  [['--toString'], 'unknown option "--toString"'],
  [['-x'], 'unknown option "-x"'],
  [['-tx'], 'unknown option "-tx"'],
  [['--t'], 'unknown option "--t"'],
  [['-b'], 'option -b needs a value'],
  [['--bundle'], 'option --bundle needs a value'],
  [['--tty=maybe'], 'option --tty is true or false, not "maybe"'],
])('%j is refused', (args, message) => {
  expect(() => parse(...args)).toThrow(expect.objectContaining({ code: 'USAGE', message }));
});

test('a whole number is one', () => {
  const values = new Values({ minus: '-1', big: '9007199254740993', hex: '0x10', empty: '' });
  expect(values.integer('minus')).toBe(-1);
  expect(values.integer('missing')).toBeUndefined();
  for (const name of ['big', 'hex', 'empty']) {
    expect(() => values.integer(name)).toThrow(/not a whole number/);
  }
});
