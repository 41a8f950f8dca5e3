/** The shim as a process, killed again and again: nothing lost, nothing doubled, nothing left. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIGKILL } from '@strata/namespaces';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRecord, streamContent } from '../src/logs/cri-record.ts';
import { ShimClient } from '../src/service/shim-client.ts';
import { TestArea } from './bundle.ts';

let area: TestArea;
let client: ShimClient;
const IDLE_MS = 300;

beforeEach(async () => {
  area = new TestArea();
  client = await ShimClient.connectOrSpawn({ state: area.state, idleMs: IDLE_MS });
});
afterEach(async () => {
  for (const { id } of await client.list()) await client.delete(id, { force: true });
  const pid = await client.shimPid();
  await client.shutdown();
  client.close();
  while (isRunning(pid)) await sleep(5);
  area[Symbol.dispose]();
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

async function createLogged(id: string, script: string): Promise<void> {
  await client.create({
    id,
    bundle: area.bundle(id, script),
    log: { path: area.logPath(id), format: 'cri' },
  });
}

async function killShim(): Promise<void> {
  const pid = await client.shimPid();
  process.kill(pid, SIGKILL);
  while (isRunning(pid)) await sleep(1);
}

const logOf = (id: string) => readFileSync(area.logPath(id));

/** Processes that belong to the area: shims by command line, keepers by mailbox have no name. */
function processesOf(area: TestArea): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(area.directory) || line.includes('keeper chaos'));
}

test('every call over the socket, and detached from its starter', async () => {
  await createLogged('one', 'echo out; echo err >&2; read line; sleep 100');
  const events: string[] = [];
  const unsubscribe = client.subscribe(({ kind, id }) => events.push(`${kind} ${id}`));
  await sleep(50);
  await client.start('one');
  expect(await client.state('one')).toMatchObject({
    id: 'one',
    status: 'running',
    terminal: false,
  });
  expect(await client.list()).toHaveLength(1);
  expect(await client.pids('one')).toContain((await client.state('one')).pid);
  const process = {
    user: { uid: 0, gid: 0 },
    args: ['/bin/sh', '-c', ''],
    env: ['PATH=/bin'],
    cwd: '/',
  };
  const exec = (script: string, timeoutMs = 0) => {
    const args = ['/bin/sh', '-c', script];
    return client.exec({ id: 'one', execId: 'x', process: { ...process, args }, timeoutMs });
  };
  const result = await exec('yes | head -c 6000000; echo e >&2; exit 4');
  expect([result.exitStatus, result.stdout.length, result.stderr.length]).toEqual([
    4, 6_000_000, 2,
  ]);
  await expect(exec('sleep 9', 50)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await client.kill('one', SIGKILL);
  const exit = await client.wait('one');
  expect(exit.exitStatus).toBe(137);
  expect(await client.delete('one')).toEqual(exit);
  await expect(client.state('one')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(client.create({ id: '/', bundle: '/' })).rejects.toMatchObject({
    code: 'INVALID_ID',
  });
  while (!events.includes('delete one')) await sleep(1);
  expect(events).toEqual(['start one', 'exit one', 'delete one']);
  unsubscribe();
  expect(area.leftovers()).toEqual([]);
});

test('chaos: SIGKILL of the shim while containers print numbered lines', async () => {
  const count = 3;
  const rounds = 10;
  const bursts = 60;
  // 4000 lines every 20 ms or so: most kills hit a shim that is in the middle of a batch.
  const script = `i=100; while [ $i -lt ${100 + bursts} ]; do seq \${i}0000 \${i}3999; echo err $i >&2; usleep 20000; i=$((i+1)); done; printf end; exit`;
  const ids = Array.from({ length: count }, (_, index) => `chaos${index}`);
  for (const [index, id] of ids.entries()) await createLogged(id, `${script} ${10 + index}`);
  for (const id of ids) await client.start(id);
  const waits = ids.map((id) => client.wait(id));
  for (let round = 0; round < rounds; round++) {
    await sleep(20 + Math.random() * 120);
    await killShim();
  }
  const exits = await Promise.all(waits);
  expect(exits.map(({ exitStatus }) => exitStatus)).toEqual([10, 11, 12]);
  const starts = Array.from({ length: bursts }, (_, index) => 100 + index);
  const burst = (start: number) =>
    Array.from({ length: 4000 }, (_, index) => `${start * 10_000 + index}\n`).join('');
  const out = `${starts.map(burst).join('')}end`;
  const err = starts.map((start) => `err ${start}\n`).join('');
  for (const id of ids) {
    await client.delete(id);
    const log = logOf(id);
    // Equal, so: 0 lines lost, 0 doubled, 0 torn. parseRecord refuses what is not a record.
    expect(streamContent(log, 'stdout').toString() === out).toBe(true);
    expect(streamContent(log, 'stderr').toString()).toBe(err);
    for (let at = 0; at < log.length; ) at = parseRecord(log, at)!.next;
  }
  expect(area.leftovers()).toEqual([]);
  expect(processesOf(area).filter((line) => line.includes('keeper'))).toEqual([]);
}, 60_000);

test('a container that ends while no shim runs keeps its exit code and its last line', async () => {
  await createLogged('alone', 'usleep 100000; echo last words; exit 42');
  await client.start('alone');
  await killShim();
  await sleep(300);
  expect((await client.wait('alone')).exitStatus).toBe(42);
  expect(streamContent(logOf('alone'), 'stdout').toString()).toBe('last words\n');
  await client.delete('alone');
  expect(area.leftovers()).toEqual([]);
});

test('many callers that find no shim get the same one', async () => {
  await killShim();
  const options = { state: area.state, idleMs: IDLE_MS };
  const clients = await Promise.all(
    Array.from({ length: 4 }, () => ShimClient.connectOrSpawn(options)),
  );
  const pids = await Promise.all(clients.map((one) => one.shimPid()));
  expect(new Set(pids).size).toBe(1);
  for (const one of clients) one.close();
});

test('without containers and callers it ends, and the next caller starts another', async () => {
  const pid = await client.shimPid();
  client.close();
  while (isRunning(pid)) await sleep(20);
  expect(readdirSync(`${area.state}/shim`)).not.toContain('shim.sock');
  client = await ShimClient.connectOrSpawn({ state: area.state, idleMs: IDLE_MS });
  expect(await client.shimPid()).not.toBe(pid);
});
