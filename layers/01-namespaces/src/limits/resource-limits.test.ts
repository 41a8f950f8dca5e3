import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { parseResourceLimits, RLIM_INFINITY } from './resource-limits.ts';

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
