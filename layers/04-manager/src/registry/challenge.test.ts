import { expect, test } from 'vitest';
import { parseChallenge } from './challenge.ts';

test('reads what registries send', () => {
  const header =
    'Bearer realm="https://auth.test/token",service="reg, one",scope=repository:a:pull';
  expect(parseChallenge(header)).toEqual({
    scheme: 'bearer',
    realm: 'https://auth.test/token',
    service: 'reg, one',
    scope: 'repository:a:pull',
  });
  expect(parseChallenge('basic realm="x"')).toEqual({ scheme: 'basic' });
});

test.each([
  null,
  '',
  'Bearer',
  'Bearer realm=',
  'Negotiate abc',
  'Bearerrealm="x"',
  `Bearer ${'a="'.repeat(9999)}`,
])('understands nothing from %j', (header) => {
  expect(parseChallenge(header)).toBeUndefined();
});
