import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { parseProcessCgroups, pathInHierarchy, validateCgroupPath } from './cgroup-path.ts';
import type { Hierarchy } from './layout.ts';

const hierarchy = (key: string, root = '/'): Hierarchy => ({
  key,
  version: key === '' ? 2 : 1,
  mountPoint: '/cg',
  root,
  controllers: [key],
});

const TEXT = '4:memory:/a/b\n2:cpu,cpuacct:/\n1:name=systemd:/x:y\n0::/v2\n';

test('the cgroups of a process by hierarchy', () => {
  expect([...parseProcessCgroups(TEXT)]).toEqual([
    ['memory', '/a/b'],
    ['cpu,cpuacct', '/'],
    ['name=systemd', '/x:y'],
    ['', '/v2'],
  ]);
});

test.each(['4:memory', 'x:memory:/', '4:memory:relative'])('%j is refused', (line) => {
  expect(() => parseProcessCgroups(`0::/\n${line}`)).toThrow(/line 2/);
});

test('an absolute path starts at the root, a relative one at our own cgroup', () => {
  const own = () => parseProcessCgroups(TEXT);
  expect(pathInHierarchy('/web', hierarchy('memory'), own)).toBe('/web');
  expect(pathInHierarchy('web', hierarchy('memory'), own)).toBe('/a/b/web');
  expect(pathInHierarchy('web', hierarchy('memory', '/a'), own)).toBe('/b/web');
  expect(pathInHierarchy('web', hierarchy('memory', '/other'), own)).toBe('/web');
  expect(pathInHierarchy('web', hierarchy('cpu,cpuacct'), own)).toBe('/web');
  expect(pathInHierarchy('web', hierarchy('pids'), own)).toBe('/web');
});

test.each(['', '/', '//', '/../x', '..', 'a/..', '/a/./b', '/a\nb', '/a\0b'])(
  '%j is no cgroup path',
  (path) => {
    expect(() => validateCgroupPath(path)).toThrow(/invalid cgroup path/);
  },
);

test('random text is refused or parsed and never crashes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.stringMatching(/^\d:[a-z,=]*:\/.*$/))),
      (lines) => {
        try {
          parseProcessCgroups(lines.join('\n'));
        } catch (error) {
          expect(error).toBeInstanceOf(StrataError);
        }
      },
    ),
  );
});

test('an accepted path never leads out of the hierarchy', () => {
  const part = fc.oneof(fc.constantFrom('.', '..', '', 'a', '...', '\0'), fc.string());
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const path = parts.join('/');
      try {
        validateCgroupPath(path);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
        return;
      }
      const { pathname } = new URL(
        `file:///root/below/${encodeURIComponent(path).replaceAll('%2F', '/')}`,
      );
      expect(pathname.startsWith('/root/below/')).toBe(true);
    }),
  );
});
