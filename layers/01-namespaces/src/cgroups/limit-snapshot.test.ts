import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PlacedWrite } from './controllers.ts';
import { LimitSnapshot } from './limit-snapshot.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-snapshot-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const write = (file: string, value: string, more: Partial<PlacedWrite> = {}): PlacedWrite => ({
  ...{ key: 'x', field: 'linux.resources', file, value },
  ...more,
});

/** What is written back of a file with this text, after `values` were to be written. */
function restored(file: string, text: string, ...values: string[]): string {
  writeFileSync(join(directory, file), text);
  const writes = values.map((value) => write(file, value));
  const snapshot = LimitSnapshot.take({ writes, hasDeviceProgram: false }, { x: directory });
  writeFileSync(join(directory, file), 'changed');
  expect(snapshot.restore()).toEqual([]);
  return readFileSync(join(directory, file), 'utf8');
}

test.each([
  ['memory.limit_in_bytes', '9223372036854771712\n', '4096', '9223372036854771712'],
  ['memory.oom_control', 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n', '1', '0'],
  ['cpu.max', 'max 100000\n', '5000 10000', 'max 100000'],
  ['cpuset.cpus', '\n', '0', ''],
  [
    'io.max',
    '8:0 rbps=1 wbps=max riops=max wiops=max\n',
    '8:0 wbps=9',
    '8:0 rbps=1 wbps=max riops=max wiops=max',
  ],
  ['io.max', '', '8:16 wbps=9', '8:16 rbps=max wbps=max riops=max wiops=max'],
  ['io.weight', 'default 100\n8:0 50\n', '8:16 9', '8:16 default'],
  ['io.weight', 'default 100\n8:0 50\n', '9', 'default 100'],
  ['blkio.throttle.read_bps_device', '8:0 77\n', '8:0 1', '8:0 77'],
  ['blkio.throttle.read_bps_device', '8:0 77\n', '8:1 1', '8:1 0'],
  ['blkio.bfq.weight_device', '', '8:1 20', '8:1 default'],
  ['rdma.max', '', 'mlx4_0 hca_handle=2', 'mlx4_0 hca_handle=max hca_object=max'],
  ['net_prio.ifpriomap', 'lo 0\neth0 4\n', 'eth0 5', 'eth0 4'],
])('%s of %j, after %j: %j', (file, text, value, expected) => {
  expect(restored(file, text, value)).toBe(expected);
});

test('a file that is written several times goes back to what it was at first', () => {
  expect(restored('pids.max', '10\n', '20', '30')).toBe('10');
});

test('where the kernel has another file, that one is put back', () => {
  writeFileSync(join(directory, 'old'), '7\n');
  const writes = [
    write('new', '1', { otherwise: { file: 'old', value: '2' } }),
    write('gone', '1'),
  ];
  const snapshot = LimitSnapshot.take({ writes, hasDeviceProgram: false }, { x: directory });
  writeFileSync(join(directory, 'old'), '2');
  expect(snapshot.restore()).toEqual([]);
  expect(readFileSync(join(directory, 'old'), 'utf8')).toBe('7');
});

test('what refuses is named', () => {
  writeFileSync(join(directory, 'pids.max'), '7\n');
  const writes = [write('pids.max', '1')];
  const snapshot = LimitSnapshot.take({ writes, hasDeviceProgram: false }, { x: directory });
  rmSync(join(directory, 'pids.max'));
  expect(snapshot.restore()).toEqual([join(directory, 'pids.max')]);
});
