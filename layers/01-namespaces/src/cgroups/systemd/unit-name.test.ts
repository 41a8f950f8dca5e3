import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../../errors/strata-error.ts';
import { defaultScopePlace, parseScopePlace, sliceCgroup } from './unit-name.ts';

test.each([
  ['system.slice:strata:web', 'strata-web.scope', 'system.slice'],
  ['a-b.slice:cri:0123', 'cri-0123.scope', 'a-b.slice'],
  [':strata:web', 'strata-web.scope', undefined],
  ['-.slice::web', 'web.scope', '-.slice'],
  ['system.slice::strata-pod.slice', 'strata-pod.slice', 'system.slice'],
  ['s.slice:p:a@b_c.d', 'p-a@b_c.d.scope', 's.slice'],
])('%s', (text, unit, slice) => {
  expect(parseScopePlace(text)).toEqual({ unit, slice });
});

test.each([
  '/strata/web',
  'web',
  'a:b',
  'a:b:c:d',
  'system.slice:strata:',
  'system:strata:web',
  'a--b.slice:p:n',
  '-a.slice:p:n',
  'a-.slice:p:n',
  '.slice:p:n',
  'a/b.slice:p:n',
  '../a.slice:p:n',
  's.slice:../p:n',
  's.slice:p:a/b',
  's.slice:p:a\nb',
  's.slice:p:a\0b',
  's.slice:p:a b',
  's.slice::.hidden',
  `s.slice:p:${'x'.repeat(255)}`,
])('%j is refused', (text) => {
  expect(() => parseScopePlace(text)).toThrow(
    expect.objectContaining({ code: 'INVALID_CGROUP_PATH' }),
  );
});

test.each([
  ['-.slice', ''],
  ['a.slice', '/a.slice'],
  ['a-b-c.slice', '/a.slice/a-b.slice/a-b-c.slice'],
])('the cgroup of %s', (slice, path) => {
  expect(sliceCgroup(slice)).toBe(path);
});

test('a container without a cgroupsPath has a unit of its id', () => {
  expect(defaultScopePlace('a+b')).toEqual({ unit: 'strata-a\\x2bb.scope', slice: undefined });
});

test('any text is read or refused, and never leads out', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-c:./-]{1,20}$/)), (text) => {
      try {
        const { unit, slice } = parseScopePlace(text);
        expect(unit).toMatch(/^[^/]+\.(scope|slice)$/);
        expect(sliceCgroup(slice ?? '-.slice')).not.toMatch(/\.\.\/|\/\//);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
      }
    }),
  );
});
