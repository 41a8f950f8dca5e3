/** The shim in this process, with real containers: life cycle, log, exec, takeover, leftovers. */
import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { localSyscalls, SIGKILL, SIGTERM, Stub } from '@strata/namespaces';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type CriRecord, parseRecord, streamContent } from '../src/logs/cri-record.ts';
import { Stage } from '../src/logs/stage.ts';
import { Shim } from '../src/service/shim.ts';
import type { ShimEvent } from '../src/service/shim-api.ts';
import { TestArea } from './bundle.ts';

let area: TestArea;
let shim: Shim;
let before: { descriptors: number; children: string };

const children = () => readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'latin1');
const descriptors = () => readdirSync('/proc/self/fd').length;

// The stub's executable and the pipe to look at stages are made once in a process, and stay.
beforeAll(() => {
  Stub.spawn()[Symbol.dispose]();
  const sys = localSyscalls();
  const [read, write] = sys.pipe2();
  const stage = new Stage({ read, write });
  stage.peek(0);
  stage.clear();
  for (const fd of [read, write]) sys.close(fd);
});

beforeEach(() => {
  area = new TestArea();
  Shim.open({ state: area.state })[Symbol.dispose]();
  before = { descriptors: descriptors(), children: children() };
  shim = Shim.open({ state: area.state });
});
afterEach(() => {
  shim[Symbol.dispose]();
  area[Symbol.dispose]();
});

/** All containers are gone: nothing may be left of them. */
function expectNothingLeft(): void {
  expect(area.leftovers()).toEqual([]);
  shim[Symbol.dispose]();
  expect({ descriptors: descriptors(), children: children() }).toEqual(before);
  shim = Shim.open({ state: area.state });
}

async function createLogged(id: string, script: string): Promise<void> {
  await shim.create({
    id,
    bundle: area.bundle(id, script),
    log: { path: area.logPath(id), format: 'cri' },
  });
}

const logOf = (id: string) => readFileSync(area.logPath(id));
const printed = (id: string, stream: 'stdout' | 'stderr' = 'stdout') =>
  streamContent(logOf(id), stream).toString();

function records(id: string): CriRecord[] {
  const log = logOf(id);
  const found: CriRecord[] = [];
  let at = 0;
  for (let next = parseRecord(log, at); next; next = parseRecord(log, at)) {
    found.push(next.record);
    at = next.next;
  }
  return found;
}

/** Lets go of the containers and takes them over again, as after the death of a shim. */
function restart(): void {
  shim[Symbol.dispose]();
  shim = Shim.open({ state: area.state });
}

test('create, start, wait, delete: log, exit code, and nothing left', async () => {
  const events: ShimEvent[] = [];
  shim.subscribe((event) => events.push(event));
  await createLogged('one', 'echo out; echo err >&2; printf unfinished; exit 7');
  expect(await shim.state('one')).toMatchObject({ status: 'created' });
  await shim.start('one');
  const exit = await shim.wait('one');
  expect(exit).toMatchObject({ exitStatus: 7, oomKilled: false });
  expect(Math.abs(Number(exit.exitedAtNs / 1_000_000n) - Date.now())).toBeLessThan(5000);
  expect((await shim.state('one')).status).toBe('stopped');
  expect(printed('one', 'stderr')).toBe('err\n');
  expect(await shim.delete('one')).toEqual(exit);
  expect(printed('one')).toBe('out\nunfinished');
  expect(events.map(({ kind }) => kind)).toEqual(['create', 'start', 'exit', 'delete']);
  await expect(shim.state('one')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expectNothingLeft();
});

test('a process that is killed has 128 + signal', async () => {
  await createLogged('killed', 'sleep 100');
  await shim.start('killed');
  await expect(shim.delete('killed')).rejects.toMatchObject({ code: 'INVALID_STATUS' });
  await shim.kill('killed', SIGKILL);
  expect((await shim.wait('killed')).exitStatus).toBe(137);
  await expect(shim.kill('killed', SIGTERM)).rejects.toMatchObject({ code: 'INVALID_STATUS' });
  await shim.delete('killed');
  expectNothingLeft();
});

test('force deletes what runs, and what was never started', async () => {
  await createLogged('runs', 'sleep 100');
  await shim.start('runs');
  await createLogged('never', 'true');
  await shim.delete('runs', { force: true });
  await shim.delete('never');
  expectNothingLeft();
});

test('long lines, many lines, and both streams come out byte for byte', async () => {
  const script = `seq 1 20000; head -c 40000 /dev/zero | tr '\\0' x; echo; seq 1 500 >&2`;
  await createLogged('much', script);
  await shim.start('much');
  await shim.wait('much');
  const numbers = Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join('');
  expect(printed('much')).toBe(`${numbers}${'x'.repeat(40_000)}\n`);
  const long = records('much').filter(({ content }) => content[0] === 120);
  expect(long.map(({ content, partial }) => [content.length, partial])).toEqual([
    [16384, true],
    [16384, true],
    [40000 - 2 * 16384, false],
  ]);
  expect(printed('much', 'stderr').split('\n')).toHaveLength(501);
  await shim.delete('much');
  expectNothingLeft();
});

test('takeover: running, ended meanwhile, and never started', async () => {
  await createLogged('running', 'for i in 1 2 3 4 5 6; do echo $i; usleep 50000; done; exit 3');
  await createLogged('ending', 'echo early; usleep 100000; echo late; exit 4');
  await createLogged('waiting', 'echo started; exit 5');
  await shim.start('running');
  await shim.start('ending');
  await sleep(60);
  shim[Symbol.dispose]();
  await sleep(150);
  shim = Shim.open({ state: area.state });
  expect(printed('ending')).toBe('early\nlate\n');
  expect(await shim.wait('ending')).toMatchObject({ exitStatus: 4 });
  expect((await shim.state('waiting')).status).toBe('created');
  await shim.start('waiting');
  expect((await shim.wait('waiting')).exitStatus).toBe(5);
  restart();
  expect((await shim.wait('running')).exitStatus).toBe(3);
  expect(printed('running')).toBe('1\n2\n3\n4\n5\n6\n');
  expect(await shim.wait('waiting')).toMatchObject({ exitStatus: 5 });
  for (const id of ['running', 'ending', 'waiting']) await shim.delete(id);
  expectNothingLeft();
});

test('an interrupted creation and an interrupted deletion are finished by the next shim', async () => {
  await createLogged('half', 'sleep 100');
  await createLogged('going', 'sleep 100');
  await shim.start('going');
  shim[Symbol.dispose]();
  for (const [id, phase] of [
    ['half', 'creating'],
    ['going', 'deleting'],
  ] as const) {
    const path = `${area.state}/shim/containers/${id}/record.json`;
    const { writeFileSync } = await import('node:fs');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), phase }));
  }
  shim = Shim.open({ state: area.state });
  expect(await shim.list()).toEqual([]);
  expectNothingLeft();
});

test('one shim at a time', () => {
  expect(() => Shim.open({ state: area.state })).toThrow(
    expect.objectContaining({ code: 'LOCKED' }),
  );
});

test('a rotated log goes on in a new file', async () => {
  await createLogged('turning', 'echo before; usleep 150000; echo after');
  await shim.start('turning');
  await sleep(50);
  renameSync(area.logPath('turning'), `${area.logPath('turning')}.1`);
  await shim.reopenLog('turning');
  await shim.wait('turning');
  expect(printed('turning')).toBe('after\n');
  expect(readFileSync(`${area.logPath('turning')}.1`, 'utf8')).toContain('stdout F before\n');
  await shim.delete('turning');
  expectNothingLeft();
});

test('a terminal: its output is logged, also over a takeover', async () => {
  const bundle = area.bundle('tty', 'test -t 1 && echo a terminal; usleep 100000; echo more', {
    terminal: true,
  });
  const log = { path: area.logPath('tty'), format: 'cri' as const };
  await shim.create({ id: 'tty', bundle, log, terminal: true });
  await shim.start('tty');
  await sleep(30);
  restart();
  expect((await shim.wait('tty')).exitStatus).toBe(0);
  expect(printed('tty')).toBe('a terminal\r\nmore\r\n');
  await shim.delete('tty');
  expectNothingLeft();
});

const shell = (script: string) => ({
  user: { uid: 0, gid: 0 },
  args: ['/bin/sh', '-c', script],
  env: ['PATH=/bin'],
  cwd: '/',
});

test('exec: output, status, timeout, a grandchild that keeps the pipe, a program that is missing', async () => {
  await createLogged('host', 'sleep 100');
  await shim.start('host');
  const exec = (script: string, timeoutMs = 0) =>
    shim.exec({ id: 'host', execId: 'x', process: shell(script), timeoutMs });
  const simple = await exec('echo out; echo err >&2; exit 3');
  expect(simple.exitStatus).toBe(3);
  expect(Buffer.from(simple.stdout).toString()).toBe('out\n');
  expect(Buffer.from(simple.stderr).toString()).toBe('err\n');
  const started = Date.now();
  await expect(exec('sleep 50 & sleep 60', 100)).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
  const grandchild = await exec('sleep 50 & echo done');
  expect(Buffer.from(grandchild.stdout).toString()).toBe('done\n');
  expect(Date.now() - started).toBeLessThan(5000);
  const missing = { ...shell(''), args: ['/bin/nothing'] };
  await expect(shim.exec({ id: 'host', execId: 'y', process: missing })).rejects.toMatchObject({
    code: 'ENOENT',
  });
  const large = await exec('yes | head -c 20000000');
  expect(large.stdout.length).toBe(16 << 20);
  expect(large.truncated).toBe(true);
  await shim.delete('host', { force: true });
  expectNothingLeft();
});

test('10 containers at once', async () => {
  const ids = Array.from({ length: 10 }, (_, index) => `c${index}`);
  await Promise.all(ids.map((id, index) => createLogged(id, `seq 1 1000; exit ${index}`)));
  await Promise.all(ids.map((id) => shim.start(id)));
  const exits = await Promise.all(ids.map((id) => shim.wait(id)));
  expect(exits.map(({ exitStatus }) => exitStatus)).toEqual(ids.map((_, index) => index));
  for (const id of ids) expect(printed(id).split('\n')).toHaveLength(1001);
  expect(await shim.list()).toHaveLength(10);
  await Promise.all(ids.map((id) => shim.delete(id)));
  expectNothingLeft();
});

test('a keeper that is killed: the container goes on, and its end is noticed', async () => {
  await createLogged('orphan', 'usleep 200000');
  await shim.start('orphan');
  const record = JSON.parse(
    readFileSync(`${area.state}/shim/containers/orphan/record.json`, 'utf8'),
  );
  process.kill(record.keeper.pid, SIGKILL);
  expect((await shim.wait('orphan')).exitStatus).toBe(255);
  await shim.delete('orphan');
  expectNothingLeft();
});

test('a container over its memory limit is reported as OOM-killed', async () => {
  const bundle = area.bundle('greedy', 'x=a; while :; do x=$x$x; done', { memoryBytes: 8 << 20 });
  await shim.create({ id: 'greedy', bundle });
  await shim.start('greedy');
  expect(await shim.wait('greedy')).toMatchObject({ exitStatus: 137, oomKilled: true });
  await shim.delete('greedy');
  expectNothingLeft();
});

test('bad requests say what is wrong, and leave nothing', async () => {
  const bundle = area.bundle('bad', 'true');
  await expect(shim.create({ id: '../x', bundle })).rejects.toMatchObject({ code: 'INVALID_ID' });
  await expect(shim.create({ id: 'bad', bundle: '/nonexistent' })).rejects.toThrow();
  const log = { path: '/proc/nowhere/x.log', format: 'cri' as const };
  await expect(shim.create({ id: 'bad', bundle, log })).rejects.toMatchObject({
    code: 'INVALID_LOG_PATH',
  });
  await createLogged('twice', 'true');
  await expect(createLogged('twice', 'true')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await shim.delete('twice');
  await expect(shim.start('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expectNothingLeft();
});
