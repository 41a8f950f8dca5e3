import { expect, test } from 'vitest';
import { judge } from './verdict.ts';

const ended = (stdout: string, more: { stderr?: string; exitCode?: number } = {}) =>
  judge({ stdout, stderr: '', exitCode: 0, timedOut: false, ...more });

const diagnostic = (value: object): string => `  ---\n  ${JSON.stringify(value)}\n  ...\n`;

test('all points ok, or none and nothing said', () => {
  expect(ended('TAP version 13\nok 1 - a\n1..1\n')).toEqual({
    passed: true,
    points: 1,
    failures: [],
  });
  expect(ended('TAP version 13\n1..0\n').passed).toBe(true);
  expect(ended('').passed).toBe(true);
});

test('a point that fails, with what is known of it', () => {
  const { failures } = ended(
    `TAP version 13\nnot ok 1 - a\n${diagnostic({ error: 'exit status 1', stderr: 'oci: no\nexit status 1\n' })}not ok 2 - b\n# expect: 1, actual: 2\n1..2\n`,
  );
  expect(failures).toEqual([
    { what: 'a', detail: 'oci: no' },
    { what: 'b', detail: 'expect: 1, actual: 2' },
  ]);
});

test('an error that was expected is none, one without a point is', () => {
  const expected = `TAP version 13\nok 1 - refuses\n${diagnostic({ error: 'exit status 1' })}1..1\n`;
  expect(ended(expected).passed).toBe(true);
  const loose = `TAP version 13\n${diagnostic({ error: 'hooks MUST be called\nRefer to: x' })}1..0\n`;
  expect(ended(loose).failures).toEqual([{ what: 'hooks MUST be called' }]);
  const second = expected.replace('1..1', `${diagnostic({ error: 'and this' })}1..1`);
  expect(ended(second).failures).toEqual([{ what: 'and this' }]);
});

test('points inside the container count', () => {
  const inside = 'TAP version 13\nok 1 - x\nnot ok 2 - y\n1..2\n';
  const { points, failures } = ended(
    `TAP version 13\n${diagnostic({ stdout: inside, stderr: '' })}not ok 1 - masked paths\n1..1\n`,
  );
  expect(points).toBe(3);
  expect(failures.map(({ what }) => what)).toEqual(['masked paths', 'y']);
});

test('a program that breaks off, fails, or does not end', () => {
  expect(ended('TAP version 13\nok 1 - a\n').failures).toEqual([
    { what: 'no plan, and 1 test points' },
  ]);
  expect(ended('TAP version 13\nok 1 - a\n1..2\n').failures).toEqual([
    { what: 'a plan of 2, and 1 test points' },
  ]);
  expect(ended('', { exitCode: 1, stderr: 'oci: no\nexit status 1\n' }).failures).toEqual([
    { what: 'no test ran', detail: 'oci: no' },
    { what: 'exit code 1', detail: 'oci: no' },
  ]);
  const late = judge({ stdout: '', stderr: '', exitCode: null, timedOut: true });
  expect(late.failures.map(({ what }) => what)).toContain('does not end');
});
