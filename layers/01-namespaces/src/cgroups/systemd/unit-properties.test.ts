import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CgroupResources } from '../resources.ts';
import { bitMask, limitProperties } from './unit-properties.ts';

const INFINITY = 2n ** 64n - 1n;

const cases: [CgroupResources, [string, string, unknown][]][] = [
  [{}, []],
  [
    { memory: { limit: 4096, reservation: 1024 } },
    [
      ['MemoryMax', 't', 4096n],
      ['MemoryLow', 't', 1024n],
    ],
  ],
  [
    { memory: { limit: -1, swap: -1 } },
    [
      ['MemoryMax', 't', INFINITY],
      ['MemorySwapMax', 't', INFINITY],
    ],
  ],
  [
    { memory: { limit: 4096, swap: 4096 } },
    [
      ['MemoryMax', 't', 4096n],
      ['MemorySwapMax', 't', 0n],
    ],
  ],
  [
    { memory: { limit: 4096, swap: 8192 } },
    [
      ['MemoryMax', 't', 4096n],
      ['MemorySwapMax', 't', 4096n],
    ],
  ],
  [{ cpu: { shares: 1024 } }, [['CPUWeight', 't', 100n]]],
  [{ cpu: { shares: 1024, idle: 1 } }, [['CPUWeight', 't', 0n]]],
  [{ cpu: { quota: 50_000 } }, [['CPUQuotaPerSecUSec', 't', 500_000n]]],
  [
    { cpu: { quota: 33_333, period: 100_000 } },
    [
      ['CPUQuotaPeriodUSec', 't', 100_000n],
      ['CPUQuotaPerSecUSec', 't', 340_000n],
    ],
  ],
  [{ cpu: { quota: -1 } }, [['CPUQuotaPerSecUSec', 't', INFINITY]]],
  [{ pids: { limit: 0 } }, []],
  [{ pids: { limit: -1 } }, [['TasksMax', 't', INFINITY]]],
  [{ pids: { limit: 7 } }, [['TasksMax', 't', 7n]]],
  [
    { cpu: { cpus: '0-1', mems: '0' } },
    [
      ['AllowedCPUs', 'ay', Buffer.of(3)],
      ['AllowedMemoryNodes', 'ay', Buffer.of(1)],
    ],
  ],
  [
    {
      blockIO: {
        weight: 500,
        weightDevice: [{ major: 8, minor: 0, weight: 10 }],
        throttleReadBpsDevice: [{ major: 8, minor: 16, rate: 1_000_000 }],
      },
    },
    [
      ['IOWeight', 't', 4950n],
      ['IODeviceWeight', 'a(st)', [['/dev/block/8:0', 1n]]],
      ['IOReadBandwidthMax', 'a(st)', [['/dev/block/8:16', 1_000_000n]]],
    ],
  ],
];

test.each(cases)('%o', (resources, properties) => {
  expect(limitProperties(resources)).toEqual(properties);
});

test.each([
  ['0', [1]],
  ['0-2,4', [0b10111]],
  ['8', [0, 1]],
  ['0, 15', [1, 0x80]],
  ['7-8', [0x80, 1]],
])('the bits of %s', (list, bytes) => {
  expect([...bitMask(list, 'cpu.cpus')]).toEqual(bytes);
});

test.each(['', 'a', '3-1', '-1', '1-', '0,,1', '99999', '1-2-3', '0x1'])(
  '%j is no list',
  (list) => {
    expect(() => bitMask(list, 'cpu.cpus')).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIG', field: 'linux.resources.cpu.cpus' }),
    );
  },
);

test('the bits are those of the list', () => {
  const cpus = fc.uniqueArray(fc.nat(8191), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(cpus, (list) => {
      const mask = bitMask(list.join(','), 'cpu.cpus');
      const found = [...mask].flatMap((byte, at) =>
        [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => at * 8 + bit),
      );
      expect(found).toEqual(list.toSorted((a, b) => a - b));
    }),
  );
});
