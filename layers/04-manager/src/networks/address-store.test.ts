import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AddressRange } from './address-range.ts';
import { AddressStore } from './address-store.ts';

const HOST_LOCAL = '/usr/lib/cni/host-local';
const subnet = { address: '10.7.0.0', prefixLength: 29 };
const range = AddressRange.of(subnet).without('10.7.0.1');
const owner = (containerId: string, interfaceName = 'eth0') => ({ containerId, interfaceName });

let dataDir: string;
let store: AddressStore;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'strata-addresses-'));
  store = new AddressStore(join(dataDir, 'net'));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

test("the files are host-local's", async () => {
  expect(await store.reserve(owner('one'), range)).toBe('10.7.0.2');
  expect(readFileSync(join(store.directory, '10.7.0.2'), 'utf8')).toBe('one\r\neth0');
  expect(readFileSync(join(store.directory, 'last_reserved_ip.0'), 'utf8')).toBe('10.7.0.2');
  expect(readdirSync(store.directory).sort()).toEqual(['10.7.0.2', 'last_reserved_ip.0', 'lock']);
});

test('an address given back is not the next one given', async () => {
  await store.reserve(owner('one'), range);
  expect(await store.release(owner('one'))).toEqual(['10.7.0.2']);
  expect(await store.release(owner('one'))).toEqual([]);
  expect(await store.reserve(owner('two'), range)).toBe('10.7.0.3');
});

test('exhaustion names the range; an address freed is found again', async () => {
  for (const id of ['a', 'b', 'c', 'd', 'e']) await store.reserve(owner(id), range);
  await expect(store.reserve(owner('f'), range)).rejects.toThrow(
    'no address is free in 10.7.0.1-10.7.0.6',
  );
  await store.release(owner('c'));
  expect(await store.reserve(owner('f'), range)).toBe('10.7.0.4');
});

test('a release takes only what is of both container and interface', async () => {
  await store.reserve(owner('one', 'eth0'), range);
  await store.reserve(owner('one', 'eth1'), range);
  expect(await store.release(owner('one', 'eth1'), ['10.7.0.2'])).toEqual(['10.7.0.3']);
  expect(store.list()).toEqual([{ address: '10.7.0.2', ...owner('one') }]);
});

test('gc frees what belongs to nobody alive, files cut off by a crash included', async () => {
  await store.reserve(owner('alive'), range);
  await store.reserve(owner('dead'), range);
  writeFileSync(join(store.directory, '10.7.0.6'), '');
  const freed = await store.releaseAllBut(new Set(['alive']));
  expect(freed.map(({ address }) => address).sort()).toEqual(['10.7.0.3', '10.7.0.6']);
  expect(store.list().map(({ containerId }) => containerId)).toEqual(['alive']);
});

test('rubbish in the directory does no harm', async () => {
  await store.reserve(owner('one'), range);
  writeFileSync(join(store.directory, 'last_reserved_ip.0'), '../../etc/passwd');
  writeFileSync(join(store.directory, 'notes.txt'), 'hello');
  expect(await store.reserve(owner('two'), range)).toBe('10.7.0.3');
  expect(store.list()).toHaveLength(2);
  await store.releaseAllBut(new Set());
  expect(existsSync(join(store.directory, 'notes.txt'))).toBe(true);
});

test('8 processes at once get different addresses', async () => {
  const each = 12;
  const script = `
    const { AddressStore } = await import(${JSON.stringify(import.meta.resolve('./address-store.ts'))});
    const { AddressRange } = await import(${JSON.stringify(import.meta.resolve('./address-range.ts'))});
    const store = new AddressStore(${JSON.stringify(store.directory)});
    const range = AddressRange.of({ address: '10.7.0.0', prefixLength: 24 }).without('10.7.0.1');
    for (let i = 0; i < ${each}; i++) {
      const owner = { containerId: 'p' + process.argv[1] + '-' + i, interfaceName: 'eth0' };
      console.log(await store.reserve(owner, range));
      if (i % 4 === 3) await store.release(owner);
    }`;
  const runs = Array.from({ length: 8 }, (_, index) => runNode(script, String(index)));
  const outputs = await Promise.all(runs);
  const given = outputs.flatMap((output) => output.trim().split('\n'));
  expect(given).toHaveLength(8 * each);
  // Nothing was given twice: round robin had not come round yet when the last was taken.
  expect(new Set(given).size).toBe(8 * each);
  expect(store.list()).toHaveLength((8 * each * 3) / 4);
});

test.skipIf(!existsSync(HOST_LOCAL))("CNI's host-local plugin and we share a network", async () => {
  expect(await store.reserve(owner('ours'), range)).toBe('10.7.0.2');
  const added = hostLocal('ADD', 'theirs');
  expect(added.status).toBe(0);
  expect(JSON.parse(added.stdout).ips[0].address).toBe('10.7.0.3/29');
  expect(store.list()).toContainEqual({ address: '10.7.0.3', ...owner('theirs') });
  expect(await store.reserve(owner('ours-too'), range)).toBe('10.7.0.4');
  expect(await store.release(owner('theirs'))).toEqual(['10.7.0.3']);
  expect(hostLocal('DEL', 'ours').status).toBe(0);
  expect(store.list().map(({ containerId }) => containerId)).toEqual(['ours-too']);
});

function runNode(script: string, argument: string): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, argument], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return new Promise((resolve, reject) => {
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => (status === 0 ? resolve(output) : reject(new Error(errors))));
  });
}

function hostLocal(command: string, containerId: string) {
  return spawnSync(HOST_LOCAL, {
    encoding: 'utf8',
    input: JSON.stringify({
      cniVersion: '1.0.0',
      name: 'net',
      type: 'bridge',
      ipam: { type: 'host-local', dataDir, ranges: [[{ subnet: '10.7.0.0/29' }]] },
    }),
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: '/var/run/netns/none',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/usr/lib/cni',
    },
  });
}
