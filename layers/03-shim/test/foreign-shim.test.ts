/** Debian's containerd-shim-runc-v2 with runc, driven as containerd drives it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SIGKILL, SIGTERM } from '@strata/namespaces';
import { afterEach, beforeEach, expect, test as it } from 'vitest';
import { EventListener, type ShimEventEnvelope } from '../src/containerd/event-listener.ts';
import { TaskFifos } from '../src/containerd/fifos.ts';
import { ForeignShim, type LaunchOptions } from '../src/containerd/foreign-shim.ts';
import { OPTIONS_TYPE, Options } from '../src/containerd/runc-options.ts';
import { TASK_STATUS } from '../src/service/task-messages.ts';
import { TestArea } from './bundle.ts';

const SHIM = '/usr/bin/containerd-shim-runc-v2';
const test = it.skipIf(!existsSync(SHIM) || !existsSync('/usr/sbin/runc'));
const NAMESPACE = 'strata-test';

let area: TestArea;
let listener: EventListener;
let events: ShimEventEnvelope[];

beforeEach(async () => {
  area = new TestArea();
  mkdirSync(area.state, { recursive: true });
  events = [];
  listener = await EventListener.listen(join(area.directory, 'events.sock'), (event) =>
    events.push(event),
  );
});
afterEach(() => {
  listener[Symbol.dispose]();
  expect(processes()).toEqual([]);
  area[Symbol.dispose]();
});

/** What has this area's directory in its command line, or is the shim of a bundle in it. */
function processes(): string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
      if (line.includes(area.directory)) found.push(`${pid} ${line}`);
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

const launchOptions = (id: string, bundle: string): LaunchOptions => ({
  runtime: 'io.containerd.runc.v2',
  namespace: NAMESPACE,
  id,
  bundle,
  address: join(area.directory, 'manager.sock'),
  eventsAddress: listener.address,
  options: {
    typeUrl: OPTIONS_TYPE,
    value: Options.encode({ root: join(area.directory, 'runc'), binaryName: 'runc' }),
  },
});

/** A shim with a container in it that is created; FIFOs that nobody reads are not a test. */
async function create(
  id: string,
  script: string,
  stdio: { stdin?: boolean; terminal?: boolean } = {},
): Promise<{ shim: ForeignShim; fifos: TaskFifos; pid: number; bundle: string }> {
  const bundle = area.bundle(id, script, stdio);
  const shim = await ForeignShim.launch(launchOptions(id, bundle));
  const fifos = new TaskFifos(join(bundle, 'fifos'), stdio);
  const request = { id, bundle, terminal: stdio.terminal ?? false, ...fifos.paths };
  const options = launchOptions(id, bundle).options;
  const { pid } = await shim.task.Create({ ...request, options });
  fifos.opened();
  return { shim, fifos, pid, bundle };
}

const topics = () => events.map(({ topic }) => topic);

async function remove(shim: ForeignShim, id: string): Promise<number> {
  const { exitStatus } = await shim.task.Delete({ id });
  await shim.shutdown();
  return exitStatus;
}

test('a container from create to delete, with its output, exit code and events', async () => {
  const { shim, fifos, pid } = await create('one', 'echo out; echo err >&2; exit 7');
  const out = text(fifos.stdout);
  const err = text(fifos.stderr!);
  expect((await shim.task.State({ id: 'one' })).status).toBe(TASK_STATUS.CREATED);
  const waited = shim.task.Wait({ id: 'one' });
  expect((await shim.task.Start({ id: 'one' })).pid).toBe(pid);
  expect((await waited).exitStatus).toBe(7);
  expect(await out).toBe('out\n');
  expect(await err).toBe('err\n');
  expect(await remove(shim, 'one')).toBe(7);
  await expect.poll(topics).toContain('/tasks/delete');
  expect(topics()).toEqual(['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
  expect(new Set(events.map(({ namespace }) => namespace))).toEqual(new Set([NAMESPACE]));
  expect(events[2]!.event).toMatchObject({
    name: 'TaskExit',
    value: { containerId: 'one', id: 'one', pid, exitStatus: 7 },
  });
  expect(area.leftovers()).toEqual([]);
});

test('exec, signals, pids, pause and resume, limits, metrics', async () => {
  const id = 'busy';
  const { shim, pid } = await create(id, 'trap "exit 3" TERM; while :; do sleep 0.1; done');
  const { task } = shim;
  await task.Start({ id });
  const fifos = new TaskFifos(join(area.directory, 'exec'));
  const process = { args: ['/bin/sh', '-c', 'echo inside; exit 5'], cwd: '/', env: ['PATH=/bin'] };
  const spec = {
    typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Process',
    value: new TextEncoder().encode(JSON.stringify({ ...process, user: { uid: 0, gid: 0 } })),
  };
  await task.Exec({ id, execId: 'e', ...fifos.paths, spec });
  const ended = task.Wait({ id, execId: 'e' });
  await task.Start({ id, execId: 'e' });
  fifos.opened();
  expect(await text(fifos.stdout)).toBe('inside\n');
  expect((await ended).exitStatus).toBe(5);
  expect((await task.Delete({ id, execId: 'e' })).exitStatus).toBe(5);

  await task.Pause({ id });
  expect((await task.State({ id })).status).toBe(TASK_STATUS.PAUSED);
  await task.Resume({ id });
  expect((await task.Pids({ id })).processes.map((one) => one.pid)).toContain(pid);
  const resources = {
    typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources',
    value: new TextEncoder().encode(JSON.stringify({ pids: { limit: 77 } })),
  };
  await task.Update({ id, resources });
  const { stats } = await task.Stats({ id });
  expect(stats!.typeUrl).toMatch(/^io\.containerd\.cgroups\.v[12]\.Metrics$/);

  await task.Kill({ id, signal: SIGTERM });
  expect((await task.Wait({ id })).exitStatus).toBe(3);
  expect(await remove(shim, id)).toBe(3);
  await expect.poll(topics).toContain('/tasks/delete');
  expect(topics()).toEqual(
    expect.arrayContaining(['/tasks/exec-added', '/tasks/exec-started', '/tasks/paused']),
  );
  expect(area.leftovers()).toEqual([]);
});

test('standard input, and its end', async () => {
  const { shim, fifos } = await create('reader', 'cat; echo end', { stdin: true });
  await shim.task.Start({ id: 'reader' });
  const out = text(fifos.stdout);
  fifos.stdin.end('typed\n');
  await shim.task.CloseIO({ id: 'reader', stdin: true });
  expect(await out).toBe('typed\nend\n');
  expect((await shim.task.Wait({ id: 'reader' })).exitStatus).toBe(0);
  await remove(shim, 'reader');
});

test('a terminal, resized', async () => {
  const options = { stdin: true, terminal: true };
  const script = 'read x; stty size; exit 4';
  const { shim, fifos } = await create('tty', script, options);
  const out = text(fifos.stdout);
  await shim.task.Start({ id: 'tty' });
  await shim.task.ResizePty({ id: 'tty', width: 91, height: 17 });
  fifos.stdin.write('\n');
  expect((await shim.task.Wait({ id: 'tty' })).exitStatus).toBe(4);
  await remove(shim, 'tty');
  expect(await out).toContain('17 91\r\n');
});

test('a shim that is killed: it is noticed, and its binary removes what is left', async () => {
  const { shim, pid } = await create('orphan', 'sleep 1000');
  await shim.task.Start({ id: 'orphan' });
  const { shimPid } = await shim.task.Connect({ id: 'orphan' });
  const lost = new Promise<void>((resolve) => shim.onLost(resolve));
  const waited = shim.task.Wait({ id: 'orphan' });
  process.kill(shimPid, SIGKILL);
  await lost;
  await expect(waited).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  expect((await shim.cleanUp()).exitStatus).toBe(137);
  await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
  expect(existsSync(shim.bootstrap.address.replace('unix://', ''))).toBe(false);
  expect(area.leftovers()).toEqual([]);
});

test('our successor finds the shim and its container again', async () => {
  const { shim, bundle } = await create('kept', 'sleep 1000');
  await shim.task.Start({ id: 'kept' });
  const { shimPid } = await shim.task.Connect({ id: 'kept' });
  shim[Symbol.dispose]();
  const again = await ForeignShim.reconnect(launchOptions('kept', bundle));
  expect(await again.task.Connect({ id: 'kept' })).toMatchObject({ shimPid });
  await again.task.Kill({ id: 'kept', signal: SIGKILL });
  expect((await again.task.Wait({ id: 'kept' })).exitStatus).toBe(137);
  expect(await remove(again, 'kept')).toBe(137);
  await expect(ForeignShim.reconnect(launchOptions('kept', bundle))).rejects.toMatchObject({
    code: 'SHIM_NOT_STARTED',
  });
});

test('what goes wrong says why', async () => {
  const bundle = area.bundle('wrong', 'true');
  const launch = (runtime: string) =>
    ForeignShim.launch({ ...launchOptions('wrong', bundle), runtime });
  await expect(launch('io.containerd.nothing.v9')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(launch('nothing')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(launch('/bin/false')).rejects.toMatchObject({
    code: 'SHIM_FAILED',
    message: 'false start: exit status 1',
  });
  await expect(launch('/bin/true')).rejects.toMatchObject({ code: 'INVALID_SHIM' });

  writeFileSync(join(bundle, 'config.json'), '{"ociVersion": "1.0.2"}');
  const shim = await launch('io.containerd.runc.v2');
  const request = { id: 'wrong', bundle, options: launchOptions('wrong', bundle).options };
  await expect(shim.task.Create(request)).rejects.toThrow(/runc/);
  await expect(shim.task.State({ id: 'wrong' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await shim.shutdown();
});
