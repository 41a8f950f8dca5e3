import { expect, test } from 'vitest';
import { parseTap } from './tap.ts';

test('points, directives, diagnostics, remarks and the plan', () => {
  const text = `TAP version 13
  ---
  { "stdout": "before" }
  ...
ok 1 - has expected hostname
not ok 2 - memory kernel is set correctly
# expect: 1, actual: 2
  ---
  { "error": "exit status 1" }
  ...
  ---
  not JSON
  ...
ok 3 # SKIP linux.sysctl not set
not ok 4 - later # TODO one day
something else
1..4
`;
  const [document, ...more] = parseTap(text);
  expect(more).toEqual([]);
  expect(document!.plan).toBe(4);
  expect(document!.preamble).toEqual([{ stdout: 'before' }]);
  expect(document!.points).toEqual([
    { ok: true, description: 'has expected hostname', diagnostics: [], remarks: [] },
    {
      ok: false,
      description: 'memory kernel is set correctly',
      diagnostics: [{ error: 'exit status 1' }, { text: '  not JSON' }],
      remarks: ['expect: 1, actual: 2'],
    },
    { ok: true, description: '', directive: 'SKIP', diagnostics: [], remarks: [] },
    { ok: false, description: 'later', directive: 'TODO', diagnostics: [], remarks: [] },
  ]);
});

test('several documents, of which the last breaks off', () => {
  const documents = parseTap(
    'TAP version 13\nok 1 - a\n1..1\nTAP version 13\nok 1 - b\n  ---\n  {',
  );
  expect(documents.map(({ plan, points }) => [plan, points.length])).toEqual([
    [1, 1],
    [undefined, 1],
  ]);
  expect(parseTap('exit status 1\n')).toEqual([]);
});
