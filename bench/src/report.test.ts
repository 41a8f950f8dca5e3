import { expect, test } from 'vitest';
import { compare, table } from './report.ts';
import { median } from './statistics.ts';

const machine = {
  cpu: 'a processor',
  cores: 2,
  memoryMiB: 100,
  kernel: '6.1',
  architecture: 'x64',
  versions: { node: '26' },
};
const measured = (name: string, ...samples: number[]) => ({
  name,
  samples,
  median: median(samples),
});

test('a case has the medians, the ratios strata / peer, and what is unmeasured', () => {
  const peers = [measured('runc', 20, 30, 10), { name: 'crun', unmeasured: 'not installed' }];
  expect(compare('run', 'ms', measured('strata', 5, 4), peers)).toEqual({
    name: 'run',
    unit: 'ms',
    strata: 4.5,
    peers: { runc: 20, crun: null },
    ratio: { runc: 0.225, crun: null },
    unmeasured: { crun: 'not installed' },
    samples: 2,
  });
});

test('the table has one row a case, and the reasons below', () => {
  const unmeasured = { name: 'runc', unmeasured: 'not installed' };
  const cases = [
    compare('run', 'ms', measured('strata', 5), [measured('runc', 10)]),
    compare('state', 'ms', measured('strata', 1), [unmeasured]),
  ];
  expect(
    table({ suite: 'cli', machine, cases }),
  ).toBe(`cli: a processor, 2 cores, Linux 6.1; node 26

| case  | unit | strata | runc       | strata/runc |
| ----- | ---- | ------ | ---------- | ----------- |
| run   | ms   | 5      | 10         | 0.5         |
| state | ms   | 1      | unmeasured | unmeasured  |

runc is unmeasured: not installed
`);
});

test('the median of an even number of samples lies between the middle two', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([9])).toBe(9);
  expect(() => median([])).toThrow(RangeError);
});
