/** Waiting on Node's event loop for descriptors, files and processes; nothing stays behind. */
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { ProcessHandle } from '../processes/process-handle.ts';
import { Stub } from '../stub/stub.ts';
import { CLD_EXITED, CLD_KILLED, CLONE_PARENT, WEXITED } from '../syscalls/constants.ts';
import { Out, stringVector } from '../syscalls/memory.ts';
import { SIGKILL, SIGTERM } from '../syscalls/signals.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { type FileEvent, FileWatcher, parseFileEvents } from './file-watcher.ts';
import { Readiness, readable, writable } from './readiness.ts';

const sys = localSyscalls();
const descriptors = (): string => readdirSync('/proc/self/fd').join();
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'strata-events-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('a pipe is readable when there is something, and when its other end has gone', async () => {
  const before = descriptors();
  const [readEnd, writeEnd] = sys.pipe2();
  let isReady = false;
  const ready = readable(readEnd).then(() => {
    isReady = true;
  });
  await soon();
  expect(isReady).toBe(false);
  sys.write(writeEnd, 'x');
  await ready;
  sys.read(readEnd, new Uint8Array(1));
  const hungUp = readable(readEnd);
  sys.close(writeEnd);
  await hungUp;
  sys.close(readEnd);
  expect(descriptors()).toBe(before);
});

test('one descriptor is waited for by several, in both directions', async () => {
  const before = descriptors();
  const pair = new Uint8Array(8);
  sys.call('socketpair', 1, 1, 0, new Out(pair));
  const [one, other] = new Int32Array(pair.buffer) as unknown as [number, number];
  const waiting = [readable(one), readable(one), writable(one), readable(one)];
  await waiting[2];
  sys.write(other, 'x');
  await Promise.all(waiting);
  for (const fd of [one, other]) sys.close(fd);
  expect(descriptors()).toBe(before);
});

test('waiting can be given up', async () => {
  const before = descriptors();
  const [readEnd, writeEnd] = sys.pipe2();
  const controller = new AbortController();
  const waiting = readable(readEnd, { signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(readable(readEnd, { signal: controller.signal })).rejects.toThrow('enough');
  const events = new Readiness(readEnd, 'readable');
  const next = events.next();
  events[Symbol.dispose]();
  expect(await next).toMatchObject({ done: true });
  expect(await events.next()).toMatchObject({ done: true });
  for (const fd of [readEnd, writeEnd]) sys.close(fd);
  expect(descriptors()).toBe(before);
});

test('an iteration over what comes', async () => {
  const [readEnd, writeEnd] = sys.pipe2();
  onTestFinished(() => sys.close(readEnd));
  sys.write(writeEnd, 'abc');
  const read: string[] = [];
  for await (const _ of new Readiness(readEnd, 'readable')) {
    const byte = new Uint8Array(1);
    if (sys.read(readEnd, byte) === 0) break;
    read.push(String.fromCharCode(byte[0]!));
    if (read.length === 3) sys.close(writeEnd);
  }
  expect(read).toEqual(['a', 'b', 'c']);
});

test('what cannot be waited for is an error', async () => {
  const fd = openSync('/proc/self/exe', 'r');
  onTestFinished(() => sys.close(fd));
  await expect(readable(fd)).rejects.toMatchObject({ code: 'NOT_POLLABLE' });
  await expect(readable(9999)).rejects.toMatchObject({ code: 'NOT_POLLABLE' });
});

const collect = async (watcher: FileWatcher, count: number): Promise<FileEvent[]> => {
  const events: FileEvent[] = [];
  for await (const event of { [Symbol.asyncIterator]: () => ({ next: () => watcher.next() }) }) {
    events.push(event);
    if (events.length === count) return events;
  }
  return events;
};

test('changes in a directory', async () => {
  const directory = scratch();
  const before = descriptors();
  {
    using watcher = new FileWatcher();
    watcher.add(directory, ['create', 'moved-from', 'moved-to', 'delete', 'close-write']);
    const coming = collect(watcher, 5);
    writeFileSync(join(directory, 'ä'), 'x');
    renameSync(join(directory, 'ä'), join(directory, 'b'));
    mkdirSync(join(directory, 'sub'));
    const events = await coming;
    expect(events.map(({ name, kinds, isDirectory }) => [name, kinds, isDirectory])).toEqual([
      ['ä', ['create'], false],
      ['ä', ['close-write'], false],
      ['ä', ['moved-from'], false],
      ['b', ['moved-to'], false],
      ['sub', ['create'], true],
    ]);
    expect(events[2]!.cookie).toBe(events[3]!.cookie);
    expect(events[0]!.path).toBe(directory);
  }
  expect(descriptors()).toBe(before);
});

test('a watch ends with its file, or when it is removed', async () => {
  const directory = scratch();
  using watcher = new FileWatcher();
  mkdirSync(join(directory, 'sub'));
  watcher.add(join(directory, 'sub'), ['delete-self']);
  rmSync(join(directory, 'sub'), { recursive: true });
  const events = await collect(watcher, 2);
  expect(events.map(({ kinds }) => kinds)).toEqual([['delete-self'], ['ignored']]);
  const watch = watcher.add(directory, ['create']);
  watcher.remove(watch);
  expect(() => watcher.remove(watch)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  expect(watcher.take()).toMatchObject([{ kinds: ['ignored'], path: directory }]);
});

test('links are not followed unless asked; nothing is added to what was disposed', async () => {
  const directory = scratch();
  symlinkSync('/', join(directory, 'link'));
  const watcher = new FileWatcher();
  expect(() => watcher.add(join(directory, 'link'), ['create'], { directoryOnly: true })).toThrow(
    expect.objectContaining({ code: 'ENOTDIR' }),
  );
  watcher.add(join(directory, 'link'), ['delete-self'], { directoryOnly: true, follow: true });
  const next = watcher.next();
  watcher[Symbol.dispose]();
  expect(await next).toMatchObject({ done: true });
  expect(() => watcher.add(directory, ['create'])).toThrow(/disposed/);
});

test('a queue that overflows says so', () => {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setInt32(0, -1, true);
  new DataView(bytes.buffer).setUint32(4, 0x4000, true);
  expect(parseFileEvents(bytes)).toEqual([
    { watch: -1, kinds: ['overflow'], isDirectory: false, cookie: 0 },
  ]);
});

test('rubbish instead of events is refused or read, and never loops', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        expect(parseFileEvents(bytes).length).toBeLessThanOrEqual(bytes.length / 16);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
      }
    }),
  );
});

test('a process is waited for', async () => {
  Stub.spawn().exit(); // the first one leaves the sealed executable open, for the next ones
  const before = descriptors();
  {
    using parent = Stub.spawn();
    const child = parent.clone({ flags: CLONE_PARENT });
    using handle = ProcessHandle.open(child.pid);
    expect(handle.hasExited).toBe(false);
    expect(handle.poll()).toBeUndefined();
    const waiting = [handle.exited(), handle.exited()];
    child.beginExit(3);
    child.detach();
    await Promise.all(waiting);
    expect(await handle.wait()).toMatchObject({ pid: handle.pid, code: CLD_EXITED, status: 3 });
    await expect(handle.wait()).rejects.toMatchObject({ code: 'ECHILD' });
    expect(handle.trySignal(SIGTERM)).toBe(false);
    expect(() => handle.signal(SIGTERM)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
    expect(ProcessHandle.find(handle.pid)).toBeUndefined();
  }
  expect(descriptors()).toBe(before);
});

test('a process is killed; a descriptor is taken from it', async () => {
  using parent = Stub.spawn();
  const stub = parent.clone({ flags: CLONE_PARENT });
  using handle = ProcessHandle.open(stub.pid);
  const [readEnd, writeEnd] = stub.sys.pipe2();
  const taken = handle.takeDescriptor(writeEnd);
  sys.write(taken, 'x');
  sys.close(taken);
  expect(stub.sys.read(readEnd, new Uint8Array(1))).toBe(1);
  stub.detach();
  handle.signal(SIGKILL);
  expect(await handle.wait()).toMatchObject({ code: CLD_KILLED, status: SIGKILL });
});

test('a handle that is disposed gives its waits up', async () => {
  using stub = Stub.spawn();
  const handle = ProcessHandle.open(stub.pid);
  const waiting = handle.exited();
  handle[Symbol.dispose]();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  expect(() => handle.fd).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

test('a subreaper gets the orphans', async () => {
  const [readEnd, writeEnd] = sys.pipe2();
  const nothing = openSync('/dev/null', 'r+');
  using reaper = Stub.spawn({ stdio: [nothing, writeEnd, nothing] });
  for (const fd of [writeEnd, nothing]) sys.close(fd);
  onTestFinished(() => sys.close(readEnd));
  reaper.sys.setChildSubreaper(true);
  expect(reaper.sys.getChildSubreaper()).toBe(true);
  const parent = reaper.clone({ flags: 0 });
  const script = stringVector(['sh', '-c', 'sleep 60 & echo $!']);
  parent.prepare([{ name: 'execve', args: ['/bin/sh', script, stringVector([])] }]);
  parent.run();
  parent.detach();
  await readable(readEnd);
  const text = new Uint8Array(16);
  const orphan = Number(new TextDecoder().decode(text.subarray(0, sys.read(readEnd, text))));
  reaper.sys.waitid(parent.pid, WEXITED);
  using handle = ProcessHandle.open(orphan);
  handle.signal(SIGKILL);
  await handle.exited();
  expect(reaper.sys.waitid(orphan, WEXITED)).toMatchObject({ pid: orphan, status: SIGKILL });
});
