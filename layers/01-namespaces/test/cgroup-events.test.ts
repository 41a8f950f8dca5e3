/** Events of real cgroups: v1's memory controller, and the v2 hierarchy, if it is a hybrid machine's. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { CgroupEvents } from '../src/cgroups/events/events.ts';
import { unifiedOf } from '../src/cgroups/layout.ts';
import { Cgroup, type CgroupEvent, detectCgroups, homeOf } from '../src/index.ts';

const PATH = `/strata-test-events-${process.pid}`;
const layout = detectCgroups();
const memoryHome = homeOf(layout, 'memory');
const unified = unifiedOf(layout);
let children: ChildProcess[] = [];

const descriptors = (): string => readdirSync('/proc/self/fd').join();

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  Cgroup.openIfThere(PATH)?.delete();
});

function runIn(directories: readonly string[], script: string): ChildProcess {
  const enter = directories.map((path) => `echo $$ > ${path}/cgroup.procs`).join(' && ');
  const child = spawn('/bin/sh', ['-c', `${enter} && ${script}`], { stdio: 'ignore' });
  children.push(child);
  return child;
}

const LIMIT_MS = 10_000;

/** The next event of a type; fails after ten seconds. */
async function next<Type extends CgroupEvent['type']>(
  events: CgroupEvents,
  type: Type,
): Promise<Extract<CgroupEvent, { type: Type }>> {
  const timer = setTimeout(() => events[Symbol.dispose](), LIMIT_MS);
  try {
    for (;;) {
      const { value, done } = await events.next();
      if (done) throw new Error(`no event ${type} came`);
      if (value.type === type) return value as Extract<CgroupEvent, { type: Type }>;
    }
  } finally {
    clearTimeout(timer);
  }
}

test.skipIf(!memoryHome)('out of memory is told, and then the removal', async () => {
  const before = descriptors();
  const cgroup = Cgroup.create(PATH);
  cgroup.set({ memory: { limit: 8 << 20 } });
  using events = cgroup.watch();
  const child = runIn(Object.values(cgroup.paths), 'exec tail /dev/zero');
  await next(events, 'oom');
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => child.once('exit', resolve));
  }
  expect(cgroup.oomKills()).toBeGreaterThan(0);
  cgroup.delete();
  await next(events, 'removed');
  expect(await events.next()).toMatchObject({ done: true });
  expect(descriptors()).toBe(before);
});

test.skipIf(memoryHome?.version !== 1)('v1: usage crosses a threshold', async () => {
  using cgroup = Cgroup.create(PATH);
  using events = cgroup.watch({ usageBytes: 4 << 20, level: 'critical' });
  cgroup.set({ memory: { limit: 64 << 20 } });
  runIn(Object.values(cgroup.paths), 'head -c 16777216 /dev/zero | tail > /dev/null; sleep 100');
  expect(await next(events, 'usage')).toEqual({ type: 'usage', bytes: 4 << 20 });
  cgroup.kill();
});

test.skipIf(memoryHome?.version !== 2)('v2: memory.high is told by name', async () => {
  using cgroup = Cgroup.create(PATH);
  cgroup.set({ unified: { 'memory.high': String(4 << 20) } });
  using events = cgroup.watch();
  runIn(Object.values(cgroup.paths), 'head -c 16777216 /dev/zero | tail > /dev/null');
  expect((await next(events, 'memory')).risen.high).toBeGreaterThan(0);
  cgroup.kill();
});

/** A directory of our own in the v2 hierarchy. */
function unifiedDirectory(): { path: string } & Disposable {
  const path = `${unified!.mountPoint}${PATH}-unified`;
  mkdirSync(path);
  return { path, [Symbol.dispose]: () => removeSoon(path) };
}

function removeSoon(path: string): void {
  for (const pid of readFileSync(`${path}/cgroup.procs`, 'utf8').split('\n').filter(Boolean)) {
    process.kill(Number(pid), 'SIGKILL');
  }
  const deadline = Date.now() + 5000;
  for (;;) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

test.skipIf(!unified)('v2: the first process comes, the last one goes', async () => {
  using directory = unifiedDirectory();
  using events = new CgroupEvents({ memory: undefined, unified: directory.path });
  const child = runIn([directory.path], 'exec sleep 100');
  expect(await next(events, 'state')).toEqual({ type: 'state', populated: true, frozen: false });
  child.kill('SIGKILL');
  expect(await next(events, 'state')).toMatchObject({ populated: false });
});

test.skipIf(!unified)(
  'v2: who does not get the processor is told as a stall',
  async () => {
    using directory = unifiedDirectory();
    using events = new CgroupEvents(
      { memory: undefined, unified: directory.path },
      { stall: { resource: 'cpu', stallUs: 10_000 } },
    );
    runIn([directory.path], 'for i in 1 2 3 4 5 6; do (while :; do :; done) & done; wait');
    expect(await next(events, 'stall')).toEqual({ type: 'stall', resource: 'cpu' });
  },
  20_000,
);

test('what cannot be told is a typed error and leaves no descriptor', () => {
  const before = descriptors();
  const gone = { version: 1, directory: '/sys/fs/cgroup/memory/strata-test-gone' } as const;
  const refused = expect.objectContaining({ code: 'CGROUP_WATCH' });
  expect(() => new CgroupEvents({ memory: gone, unified: undefined })).toThrow(refused);
  expect(() => new CgroupEvents({ memory: undefined, unified: undefined })).toThrow(refused);
  using cgroup = Cgroup.create(PATH);
  const options = memoryHome?.version === 1 ? STALL : ({ level: 'low' } as const);
  expect(() => cgroup.watch(options)).toThrow(refused);
  expect(descriptors()).toBe(before);
});

const STALL = { stall: { resource: 'cpu', stallUs: 1 } } as const;

test('a watch that is disposed of ends who waits for it', async () => {
  using cgroup = Cgroup.create(PATH);
  const before = descriptors();
  const events = cgroup.watch();
  const waiting = [events.next(), events.next()];
  events[Symbol.dispose]();
  expect(await Promise.all(waiting)).toMatchObject([{ done: true }, { done: true }]);
  expect(descriptors()).toBe(before);
});
