/** Events reach containerd in order and once, also when it is away for a while. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventListener, type ShimEventEnvelope } from './event-listener.ts';
import { EventPublisher } from './event-publisher.ts';

let directory: string;
let address: string;
let taken: ShimEventEnvelope[];
let publisher: EventPublisher;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-events-'));
  address = join(directory, 'sock');
  taken = [];
  publisher = new EventPublisher({ address, namespace: 'ns' });
});
afterEach(() => {
  publisher[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

const listen = () => EventListener.listen(address, (event) => taken.push(event));
const start = (pid: number): void =>
  publisher.publish({ name: 'TaskStart', value: { containerId: 'c', pid } }, 1_500_000_000n);
const pids = () => taken.map(({ event }) => event?.name === 'TaskStart' && event.value.pid);

test('in order, with namespace, topic and time', async () => {
  using _listener = await listen();
  for (let pid = 0; pid < 100; pid++) start(pid);
  await publisher.flush(10_000);
  expect(pids()).toEqual(Array.from({ length: 100 }, (_, pid) => pid));
  expect(taken[0]).toMatchObject({
    namespace: 'ns',
    topic: '/tasks/start',
    timestampNs: 1_500_000_000n,
  });
});

test('what was published while nobody listened arrives when somebody does', async () => {
  start(1);
  start(2);
  await publisher.flush(30);
  expect(publisher.waiting).toBe(2);
  const first = await listen();
  await expect.poll(pids).toEqual([1, 2]);
  first[Symbol.dispose]();
  start(3);
  await publisher.flush(30);
  using _second = await listen();
  await expect.poll(pids).toEqual([1, 2, 3]);
});
