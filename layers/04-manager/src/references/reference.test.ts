import fc from 'fast-check';
import { expect, test } from 'vitest';
import { familiarName, formatReference, parseReference } from './reference.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

test.each([
  ['busybox', 'docker.io/library/busybox:latest'],
  ['busybox:1.36', 'docker.io/library/busybox:1.36'],
  ['docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['index.docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['team/app', 'docker.io/team/app:latest'],
  ['localhost/app', 'localhost/app:latest'],
  ['localhost:5000/app', 'localhost:5000/app:latest'],
  ['localhost:5000/deep/er/app:v1', 'localhost:5000/deep/er/app:v1'],
  ['example.test/app_x/y-z.w', 'example.test/app_x/y-z.w:latest'],
  ['[::1]:5000/app', '[::1]:5000/app:latest'],
  [`app@${DIGEST}`, `docker.io/library/app@${DIGEST}`],
  [`localhost:1/app:v1@${DIGEST}`, `localhost:1/app:v1@${DIGEST}`],
])('%s means %s', (text, full) => {
  expect(formatReference(parseReference(text))).toBe(full);
  expect(formatReference(parseReference(full))).toBe(full);
  expect(formatReference(parseReference(familiarName(full)))).toBe(full);
});

test.each([
  ['', /empty part/],
  ['App', /lower case/],
  ['a//b', /empty part/],
  ['../../etc/passwd', /invalid/],
  ['/absolute', /empty part|invalid/],
  ['a b', /invalid part/],
  ['a:b:c', /invalid/],
  ['a:', /invalid tag/],
  [`a:${'x'.repeat(129)}`, /invalid tag/],
  ['a@sha256:123', /not a digest/],
  [`a@${DIGEST}@${DIGEST}`, /more than one @/],
  ['a\n', /invalid part/],
  ['a\0b', /invalid part/],
  ['host:99999999/a', /invalid registry/],
  ['user:pass@host.test/a', /not a digest/],
  ['host.test?x=/a', /invalid registry/],
  ['x'.repeat(100_000), /too long/],
  [`${'x/'.repeat(120)}${'y'.repeat(30)}`, /too long/],
])('refuses %j', (text, message) => {
  expect(() => parseReference(text)).toThrow(message);
});

test('whatever is accepted reads the same again, and nothing but StrataError is thrown', () => {
  const text = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[a-z0-9._:@/-]{1,40}$/),
    fc.stringMatching(/^([a-z]{1,5}[.:]?[0-9]{0,3}\/)?[a-z]{1,4}(\/[a-z]{1,4})?(:[\w.]{1,5})?$/),
  );
  fc.assert(
    fc.property(text, (name) => {
      let full: string;
      try {
        full = formatReference(parseReference(name));
      } catch (error) {
        expect(error).toHaveProperty('code', expect.stringMatching(/^INVALID_/));
        return;
      }
      expect(formatReference(parseReference(full))).toBe(full);
    }),
  );
});
