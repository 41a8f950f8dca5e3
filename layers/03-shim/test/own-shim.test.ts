/** Both directions of the shim protocol at once: our shim's binary, driven by our own client. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SIGKILL } from '@strata/namespaces';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventListener, type ShimEventEnvelope } from '../src/containerd/event-listener.ts';
import { TaskFifos } from '../src/containerd/fifos.ts';
import { ForeignShim } from '../src/containerd/foreign-shim.ts';
import { OPTIONS_TYPE, Options } from '../src/containerd/runc-options.ts';
import { TestArea } from './bundle.ts';

const BINARY = join(import.meta.dirname, '../bin/containerd-shim-strata-v1');
const before = { ...process.env };
let area: TestArea;
let listener: EventListener;
let events: ShimEventEnvelope[];

beforeEach(async () => {
  area = new TestArea();
  mkdirSync(area.state, { recursive: true });
  Object.assign(process.env, { STRATA_SHIM_STATE: area.state, STRATA_SHIM_IDLE_MS: '200' });
  events = [];
  const socket = join(area.directory, 'events.sock');
  listener = await EventListener.listen(socket, (event) => events.push(event));
});
afterEach(() => {
  process.env = { ...before };
  listener[Symbol.dispose]();
  expect(area.leftovers()).toEqual([]);
  area[Symbol.dispose]();
});

const launch = (id: string, bundle: string) =>
  ForeignShim.launch({
    ...{ runtime: BINARY, namespace: 'own', id, bundle },
    ...{ address: join(area.directory, 'm.sock'), eventsAddress: listener.address },
  });
const topics = () => events.map(({ topic }) => topic);

test('version 3, events in their order, the exit code', async () => {
  const bundle = area.bundle('o', 'echo out; exit 7');
  const shim = await launch('o', bundle);
  expect(shim.bootstrap.version).toBe(3);
  using fifos = new TaskFifos(join(bundle, 'fifos'));
  const { pid } = await shim.task.Create({ id: 'o', bundle, ...fifos.paths });
  fifos.opened();
  const out = text(fifos.stdout);
  const waited = shim.task.Wait({ id: 'o' });
  await shim.task.Start({ id: 'o' });
  expect((await waited).exitStatus).toBe(7);
  expect(await shim.task.Delete({ id: 'o' })).toMatchObject({ pid, exitStatus: 7 });
  expect(await out).toBe('out\n');
  await expect.poll(topics).toContain('/tasks/delete');
  expect(topics()).toEqual(['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
  expect(events[0]!.event).toMatchObject({ value: { bundle, io: fifos.paths, pid } });
  shim[Symbol.dispose]();
});

test('what cannot be had is refused by its name, and nothing is left', async () => {
  const bundle = area.bundle('r', 'true');
  const shim = await launch('r', bundle);
  const create = (options: Parameters<typeof Options.encode>[0]) =>
    shim.task.Create({
      ...{ id: 'r', bundle },
      options: { typeUrl: OPTIONS_TYPE, value: Options.encode(options) },
    });
  await expect(create({ binaryName: 'crun' })).rejects.toMatchObject({
    ...{ code: 'UNIMPLEMENTED', field: 'options.binary_name' },
  });
  await expect(create({ systemdCgroup: true })).rejects.toThrow(/systemd_cgroup/);
  await expect(shim.task.State({ id: 'r' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  shim[Symbol.dispose]();
});

test('killed after its container has ended: `delete` still knows the exit code', async () => {
  const bundle = area.bundle('k', 'exit 5');
  const shim = await launch('k', bundle);
  await shim.task.Create({ id: 'k', bundle });
  await shim.task.Start({ id: 'k' });
  await shim.task.Wait({ id: 'k' });
  const { shimPid } = await shim.task.Connect({ id: 'k' });
  const lost = new Promise<void>((resolve) => shim.onLost(resolve));
  process.kill(shimPid, SIGKILL);
  await lost;
  expect((await shim.cleanUp()).exitStatus).toBe(5);
});
