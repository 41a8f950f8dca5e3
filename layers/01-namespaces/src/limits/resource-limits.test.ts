import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { Stub } from '../stub/stub.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import {
  formatLimit,
  getResourceLimits,
  parseResourceLimits,
  RLIM_INFINITY,
  resourceName,
} from './resource-limits.ts';

test('types become numbers, 2^64 infinity', () => {
  const limits = parseResourceLimits([
    { type: 'RLIMIT_NOFILE', soft: 1024, hard: 2 ** 64 },
    { type: 'RLIMIT_RTTIME', soft: 0, hard: 0 },
  ]);
  expect(limits).toEqual([
    { resource: 7, soft: 1024n, hard: RLIM_INFINITY },
    { resource: 15, soft: 0n, hard: 0n },
  ]);
});

test.each([
  [[{ type: 'RLIMIT_X', soft: 1, hard: 1 }], /rlimits\[0\].*RLIMIT_X/],
  [[{ type: 'RLIMIT_CPU', soft: 2, hard: 1 }], /soft 2 is above hard 1/],
  [[{ type: 'RLIMIT_CPU', soft: -1, hard: 1 }], /rlimits\[0\]: -1 is not/],
  [[{ type: 'RLIMIT_CPU', soft: 0.5, hard: 1 }], /0.5 is not/],
  [[{ type: 'RLIMIT_CPU', soft: 1, hard: 1e30 }], /1e\+30 is not/],
  [[{ type: 'constructor', soft: 1, hard: 1 }], /unknown type "constructor"/],
  [
    [
      { type: 'RLIMIT_CPU', soft: 1, hard: 1 },
      { type: 'RLIMIT_CPU', soft: 1, hard: 1 },
    ],
    /rlimits\[1\].*twice/,
  ],
])('%j is refused', (entries, message) => {
  expect(() => parseResourceLimits(entries)).toThrow(message);
  expect(() => parseResourceLimits(entries)).toThrow(StrataError);
});

const NOFILE = 7;

test('limits of another process are set and read', () => {
  using stub = Stub.spawn();
  const sys = localSyscalls();
  const before = sys.prlimit(stub.pid, NOFILE);
  expect(sys.prlimit(stub.pid, NOFILE, { soft: 10n, hard: 20n })).toEqual(before);
  const limits = getResourceLimits(sys, stub.pid);
  expect(limits[NOFILE]).toEqual({ resource: NOFILE, soft: 10n, hard: 20n });
  expect(limits.map(({ resource }) => resourceName(resource))).toContain('RLIMIT_RTTIME');
  expect(getResourceLimits(stub.sys)).toEqual(limits);
});

test('a hard limit that is raised without the privilege is an error that says so', () => {
  using stub = Stub.spawn();
  stub.sys.prlimit(0, NOFILE, { soft: 10n, hard: 20n });
  stub.sys.capset({ effective: 0n, permitted: 0n, inheritable: 0n });
  expect(() => stub.sys.prlimit(0, NOFILE, { soft: 10n, hard: 21n })).toThrow(
    expect.objectContaining({
      syscall: 'prlimit64',
      code: 'EPERM',
      hint: expect.stringContaining('CAP_SYS_RESOURCE'),
    }),
  );
  expect(() => stub.sys.prlimit(0, NOFILE, { soft: 21n, hard: 20n })).toThrow(
    expect.objectContaining({ code: 'EINVAL' }),
  );
});

test('a limit in words', () => {
  expect(formatLimit(RLIM_INFINITY)).toBe('unlimited');
  expect(formatLimit(0n)).toBe('0');
  expect(resourceName(99)).toBe('RLIMIT_99');
});
