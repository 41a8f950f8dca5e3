/** `events`: what a container uses and when it is out of memory, in runc's JSON. */
import { detectCgroups } from '@strata/namespaces';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { Runtime } from '../src/index.ts';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';
import { type Command, hasRunc, runc, shapeOf, strataOci } from './commands.ts';

let bundle: TestBundle;
let strata: Command;
let before: Footprint;

beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  strata = strataOci(bundle.state);
});

afterEach(() => {
  strata.removeAll();
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});

afterAll(removeTestCgroups);

function start(args: string[], command = strata, change?: (spec: Spec) => void): void {
  bundle.write(bundle.spec(args, change));
  command.out(['run', '-d', '-b', bundle.directory, 'test']);
}

const lines = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const isV1 = detectCgroups().mode !== 'v2';
const PATIENCE = { timeout: 30_000 };
/** Doubles a variable until there is no memory. */
const GREEDY = ['sh', '-c', 'read x < /tmp/go; x=abcdefgh; while :; do x=$x$x; done'];

describe.skipIf(!hasBusybox)('events', () => {
  test('--stats says once what it has used', () => {
    start(
      ['sh', '-c', 'i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; sleep 100'],
      strata,
      (spec) => {
        spec.linux!.resources = { memory: { limit: 64 << 20 }, pids: { limit: 20 } };
      },
    );
    const { code, stdout, stderr } = strata.run(['events', '--stats', 'test']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [event, ...more] = lines(stdout);
    expect(more).toEqual([]);
    expect(event).toMatchObject({ type: 'stats', id: 'test' });
    const { cpu, memory, pids } = event.data;
    expect(cpu.usage.total).toBeGreaterThan(0);
    expect(memory.usage.limit).toBe(64 << 20);
    expect(memory.usage.usage).toBeGreaterThan(0);
    expect(pids).toEqual({ current: expect.any(Number), limit: 20 });
  });

  test('repeats at the interval, and ends when the container ends', async () => {
    start(['sleep', '100']);
    const running = strata.begin(['events', '--interval=20ms', 'test']);
    await expect.poll(() => lines(running.stdout).length, PATIENCE).toBeGreaterThan(2);
    strata.out(['kill', 'test', 'KILL']);
    const { code, stdout, stderr } = await running.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { type, id } of lines(stdout))
      expect({ type, id }).toEqual({ type: 'stats', id: 'test' });
  });

  test('tells of the OOM that ends the container', async () => {
    start(GREEDY, strata, (spec) => {
      spec.root!.readonly = false;
      spec.process!.args = ['sh', '-c', `mkfifo /tmp/go; ${GREEDY[2]}`];
      spec.linux!.resources = { memory: { limit: 16 << 20, swap: 16 << 20 } };
    });
    const running = strata.begin(['events', '--interval', '10ms', 'test']);
    await expect.poll(() => lines(running.stdout).length, PATIENCE).toBeGreaterThan(0);
    strata.out(['exec', 'test', 'sh', '-c', 'while ! [ -p /tmp/go ]; do :; done; echo > /tmp/go']);
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    expect(lines(stdout).filter(({ type }) => type === 'oom')[0]).toEqual({
      type: 'oom',
      id: 'test',
    });
  });

  test('stops where nobody reads', async () => {
    start(['sleep', '100']);
    const running = strata.begin(['events', '--interval', '5ms', 'test']);
    await expect.poll(() => running.stdout.length, PATIENCE).toBeGreaterThan(0);
    running.child.stdout!.destroy();
    expect(await running.exit).toBe(0);
  });

  test.each([['0s'], ['-1s'], ['soon'], ['5']])('--interval %s is refused', (interval) => {
    expect(strata.run(['events', `--interval=${interval}`, 'test'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--interval'),
    });
  });

  test('a library gets the same', async () => {
    start(['sleep', '100']);
    const runtime = new Runtime({ root: strata.root });
    const seen: string[] = [];
    for await (const { type } of runtime.events('test', { intervalMs: 5 })) {
      seen.push(type);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual(['interval', 'interval']);
    expect(runtime.stats('test').pids?.current).toBe(1);
    const rest = runtime.events('test');
    const first = rest.next();
    runtime.kill('test', 9);
    expect(await first).toEqual({ done: true, value: undefined });
  });
});

describe.skipIf(!hasBusybox || !hasRunc)('beside runc', () => {
  let peer: Command;

  beforeEach(() => {
    peer = runc(bundle.state);
  });

  afterEach(() => peer.removeAll());

  test.runIf(isV1)('the JSON has the same members of the same types', () => {
    const [ours, theirs] = [strata, peer].map((command) => {
      start(['sh', '-c', 'cat /bin/busybox > /dev/null; sleep 100'], command, (spec) => {
        spec.linux!.resources = { memory: { limit: 64 << 20 }, pids: { limit: 20 } };
      });
      const stats = command.out(['events', '--stats', 'test']);
      return { text: stats, event: JSON.parse(stats) };
    });
    const plain = ({ event }: { event: { data: { blkio: object; memory: object } } }) => ({
      ...event,
      data: { ...event.data, blkio: {}, memory: { ...event.data.memory, cache: 0 } },
    });
    expect(shapeOf(plain(ours!))).toEqual(shapeOf(plain(theirs!)));
    expect(Object.keys(ours!.event.data)).toEqual(Object.keys(theirs!.event.data));
    // Exact, where a double would not be.
    const unlimited = /"kernelTCP":{"limit":(\d+),/;
    expect(unlimited.exec(ours!.text)![1]).toBe(unlimited.exec(theirs!.text)![1]);
  });

  test('the same is refused', () => {
    const codes = [strata, peer].map((command) => {
      start(['true'], command);
      while (JSON.parse(command.out(['state', 'test'])).status !== 'stopped');
      return [
        command.run(['events', '--stats', 'test']).code,
        command.run(['events', 'test']).code,
        command.run(['events', '--stats', 'nosuch']).code,
        command.run(['events', '--interval', '0s', 'test']).code,
        command.run(['events']).code,
      ];
    });
    expect(codes[0]).toEqual(codes[1]);
  });
});
