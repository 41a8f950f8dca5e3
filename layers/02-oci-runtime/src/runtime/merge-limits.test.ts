import { expect, test } from 'vitest';
import { limitsToWrite, mergeLimits } from './merge-limits.ts';

test('what a change leaves out stays', () => {
  const before = {
    memory: { limit: 1, swappiness: 3 },
    cpu: { shares: 2 },
    hugepageLimits: [{ pageSize: '2MB', limit: 1 }],
    unified: { 'memory.high': '1' },
    rdma: { a: { hcaHandles: 1, hcaObjects: 2 } },
  };
  const change = {
    memory: { limit: 9 },
    pids: { limit: 4 },
    hugepageLimits: [
      { pageSize: '1GB', limit: 2 },
      { pageSize: '2MB', limit: 3 },
    ],
    unified: { 'memory.low': '2' },
    rdma: { a: { hcaHandles: 7 }, b: { hcaObjects: 1 } },
    network: { priorities: [{ name: 'lo', priority: 1 }] },
  };
  expect(mergeLimits(before, change)).toEqual({
    memory: { limit: 9, swappiness: 3 },
    cpu: { shares: 2 },
    pids: { limit: 4 },
    hugepageLimits: [
      { pageSize: '2MB', limit: 3 },
      { pageSize: '1GB', limit: 2 },
    ],
    unified: { 'memory.high': '1', 'memory.low': '2' },
    rdma: { a: { hcaHandles: 7, hcaObjects: 2 }, b: { hcaObjects: 1 } },
    network: { priorities: [{ name: 'lo', priority: 1 }] },
  });
});

test('lists of devices are changed device by device', () => {
  const blockIO = {
    weight: 10,
    weightDevice: [{ major: 8, minor: 0, weight: 20, leafWeight: 5 }],
    throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }],
  };
  const change = {
    weightDevice: [
      { major: 8, minor: 0, weight: 30 },
      { major: 8, minor: 16, weight: 40 },
    ],
  };
  expect(mergeLimits({ blockIO }, { blockIO: change }).blockIO).toEqual({
    ...blockIO,
    weightDevice: [
      { major: 8, minor: 0, weight: 30, leafWeight: 5 },
      { major: 8, minor: 16, weight: 40 },
    ],
  });
});

test.each([
  [{ memory: { limit: 5 } }, { memory: { limit: 5, swap: 2 } }],
  [{ memory: { swap: 5 } }, { memory: { limit: 1, swap: 5 } }],
  [{ memory: { reservation: 5 } }, { memory: { reservation: 5 } }],
  [{ cpu: { quota: 5 } }, { cpu: { quota: 5, period: 4 } }],
  [{ cpu: { period: 5 } }, { cpu: { quota: 3, period: 5 } }],
  [{ cpu: { idle: 0 } }, { cpu: { idle: 0, shares: 6 } }],
  [{ cpu: { idle: 1 } }, { cpu: { idle: 1 } }],
  [{ cpu: { cpus: '0' } }, { cpu: { cpus: '0' } }],
])('%j writes %j', (change, written) => {
  const before = { memory: { limit: 1, swap: 2 }, cpu: { quota: 3, period: 4, shares: 6 } };
  expect(limitsToWrite(mergeLimits(before, change), change)).toEqual(written);
});
