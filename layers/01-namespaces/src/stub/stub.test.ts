import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EBADF, EEXIST, ENOENT, ENOSYS } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { StubDiedError, SyscallError } from '../errors/syscall-error.ts';
import {
  AT_FDCWD,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  CLONE_PARENT,
  F_DUPFD_CLOEXEC,
  O_RDONLY,
  WEXITED,
} from '../syscalls/constants.ts';
import type { SyscallRecord } from '../syscalls/executor.ts';
import { Out } from '../syscalls/memory.ts';
import { SIGKILL } from '../syscalls/signals.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { startArmedStub } from './armed-stub.ts';
import { PARTS } from './mailbox-layout.ts';
import { Stub } from './stub.ts';

const descriptors = (): number => readdirSync('/proc/self/fd').length;
const mappings = (): number =>
  readFileSync('/proc/self/maps', 'utf8').match(/strata-mailbox/g)?.length ?? 0;

test('a stub executes system calls in its own process', () => {
  using stub = Stub.spawn();
  expect(stub.sys.getpid()).toBe(stub.pid);
  expect(stub.pid).not.toBe(process.pid);
});

test('namespaces a stub enters are not ours', () => {
  using stub = Stub.spawn();
  const before = readlinkSync('/proc/self/ns/uts');
  stub.sys.unshare(CLONE_NEWUTS);
  stub.sys.sethostname('inside-the-stub');
  expect(readlinkSync('/proc/self/ns/uts')).toBe(before);
  expect(readlinkSync(`/proc/${stub.pid}/ns/uts`)).not.toBe(before);
});

test('a clone serves its own part while its parent goes on', () => {
  using parent = Stub.spawn();
  using child = parent.clone({ flags: CLONE_NEWPID });
  for (let round = 0; round < 50; round++) {
    expect(parent.sys.getpid()).toBe(parent.pid);
    expect(child.sys.getpid()).toBe(1);
  }
});

test('a clone can be cloned, and each generation has our number of its process', () => {
  const stubs = [Stub.spawn()];
  try {
    for (let generation = 1; generation < PARTS.length; generation++) {
      const flags = generation <= 3 ? CLONE_NEWPID : 0;
      stubs.push(stubs.at(-1)!.clone({ flags }));
    }
    expect(stubs.map(({ sys }) => sys.getpid())).toEqual([stubs[0]!.pid, 1, 1, 1, 2, 3]);
    stubs.forEach(({ pid, sys }, generation) => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const numbers = /^NSpid:\s(.*)$/m.exec(status)![1]!.split('\t');
      expect(numbers.at(-1)).toBe(String(sys.getpid()));
      if (generation === 0) return;
      expect(status).toMatch(new RegExp(`^PPid:\\s${stubs[generation - 1]!.pid}$`, 'm'));
    });
    expect(() => stubs.at(-1)!.clone({ flags: 0 })).toThrow(
      expect.objectContaining({ code: 'TOO_MANY_GENERATIONS' }),
    );
  } finally {
    for (const stub of stubs.reverse()) stub[Symbol.dispose]();
  }
});

test('arguments may be larger than the first window on the mailbox, but not than the mailbox', () => {
  using stub = Stub.spawn();
  const longPath = `/${'x'.repeat(500_000)}`;
  expect(() => stub.sys.openat2(longPath, { flags: O_RDONLY })).toThrow(
    expect.objectContaining({ code: 'ENAMETOOLONG' }),
  );
  expect(() => stub.sys.openat2(longPath.repeat(20), { flags: O_RDONLY })).toThrow(
    expect.objectContaining({ code: 'E2BIG' }),
  );
  expect(stub.sys.getpid()).toBe(stub.pid);
});

test('CLONE_PARENT makes the clone our child, to be waited for', () => {
  using parent = Stub.spawn();
  const child = parent.clone({ flags: CLONE_PARENT });
  expect(child.exit(7)).toMatchObject({ pid: child.pid, status: 7 });
});

test('an error names call, errno, arguments and step', () => {
  using stub = Stub.spawn();
  stub.sys.step = 'look for nothing';
  const error = (() => {
    try {
      stub.sys.openat2('/nonexistent/file', { flags: O_RDONLY });
    } catch (caught) {
      return caught as SyscallError;
    }
    throw new Error('openat2 of nothing succeeded');
  })();
  expect(error).toBeInstanceOf(SyscallError);
  expect(error).toMatchObject({
    syscall: 'openat2',
    errno: ENOENT,
    code: 'ENOENT',
    path: '/nonexistent/file',
    step: 'look for nothing',
  });
  expect(error.message).toContain('"/nonexistent/file"');
});

test('a program stops at the first error; operations marked so go on', () => {
  using stub = Stub.spawn();
  const results = stub.execute([
    { name: 'getpid', args: [] },
    { name: 'chdir', args: ['/nonexistent'], goOn: true },
    { name: 'getpid', args: [] },
    { name: 'chdir', args: ['/nonexistent'] },
    { name: 'getpid', args: [] },
  ]);
  expect(results).toEqual([stub.pid, -ENOENT, stub.pid, -ENOENT, -ENOSYS]);
});

test('what a call writes can be the next call’s argument', () => {
  using stub = Stub.spawn();
  const [readEnd, writeEnd] = stub.sys.pipe2();
  const shared = new Out(new Uint8Array(8));
  const text = new TextEncoder().encode('12345678');
  stub.execute([
    { name: 'write', args: [writeEnd, text, 8] },
    { name: 'read', args: [readEnd, shared, 8] },
    { name: 'write', args: [writeEnd, shared, 8] },
  ]);
  const copy = new Uint8Array(8);
  expect(stub.sys.read(readEnd, copy)).toBe(8);
  expect(copy).toEqual(text);
});

test('a stub killed during a call gives a typed error and leaks nothing', async () => {
  const fds = descriptors();
  const stub = Stub.spawn();
  const [readEnd] = stub.sys.pipe2();
  const { spawn } = await import('node:child_process');
  const killer = spawn('/bin/sh', ['-c', `sleep 0.1; kill -9 ${stub.pid}`]);
  onTestFinished(() => {
    killer.kill();
  });
  expect(() => stub.sys.read(readEnd, new Uint8Array(1))).toThrow(StubDiedError);
  await new Promise((resolve) => killer.once('close', resolve));
  stub[Symbol.dispose]();
  expect(mappings()).toBe(0);
  expect(descriptors()).toBeLessThanOrEqual(fds + 1); // the sealed executable is kept
});

test('a stub gets the descriptors it was given and no others', () => {
  const sys = localSyscalls();
  const [readEnd, writeEnd] = sys.pipe2();
  using stub = Stub.spawn({ descriptors: new Map([[10, readEnd]]) });
  const open = readdirSync(`/proc/${stub.pid}/fd`).map(Number);
  expect(open.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 10]);
  sys.close(readEnd);
  sys.close(writeEnd);
});

test('a stub starts with default signal dispositions', () => {
  using stub = Stub.spawn();
  const status = readFileSync(`/proc/${stub.pid}/status`, 'utf8');
  expect(status).toMatch(/SigIgn:\t0{16}/);
  expect(status).toMatch(/SigBlk:\t0{16}/);
});

test('the executable of a stub is sealed against writing', () => {
  using stub = Stub.spawn();
  expect(readlinkSync(`/proc/${stub.pid}/exe`)).toContain('memfd:strata-stub');
  expect(() =>
    localSyscalls().openat2(`/proc/${stub.pid}/exe`, { flags: 1 /* O_WRONLY */ }),
  ).toThrow(/ETXTBSY|EPERM|EACCES/);
});

test('an armed stub is started from its descriptors alone', () => {
  using parent = Stub.spawn();
  const child = parent.clone({ flags: CLONE_PARENT });
  const [syncFd, writeEnd] = child.sys.pipe2();
  child.prepare([{ name: 'execve', args: ['/bin/true', null, null] }]);
  child.detach();
  startArmedStub({ pid: child.pid, syncFd, calls: ['execve'] });
  expect(writeEnd).toBeGreaterThan(syncFd);
  expect(localSyscalls().waitid(child.pid, WEXITED)).toMatchObject({ status: 0 });
});

test('an armed stub whose execve fails says so', () => {
  using parent = Stub.spawn();
  const child = parent.clone({ flags: CLONE_PARENT });
  const [syncFd] = child.sys.pipe2();
  child.prepare([{ name: 'execve', args: ['/nonexistent', null, null] }]);
  expect(() => startArmedStub({ pid: child.pid, syncFd, calls: ['execve'] })).toThrow(
    /execve.*ENOENT/,
  );
  child[Symbol.dispose]();
});

test('a stub that was never armed is not started', () => {
  using parent = Stub.spawn();
  using child = parent.clone({ flags: CLONE_PARENT });
  const [syncFd] = child.sys.pipe2();
  expect(() => startArmedStub({ pid: child.pid, syncFd, calls: [] })).toThrow(/not completely/);
});

test('a listener hears of every call with its duration', () => {
  const heard: SyscallRecord[] = [];
  using stub = Stub.spawn({ listener: (record) => heard.push(record) });
  stub.sys.getpid();
  stub.sys.mkdirat.bind(stub.sys);
  expect(heard.map(({ name }) => name)).toEqual(['getpid']);
  expect(heard[0]!.durationNs).toBeGreaterThan(0);
});

test('a mailbox filled with rubbish yields an errno, not a hang', () => {
  using stub = Stub.spawn();
  const result = stub.sys.attempt('openat', AT_FDCWD, new Uint8Array(64).fill(0xff), -1, -1);
  expect(result).toBeLessThan(0);
});

test('spawning and ending stubs leaves no descriptor, mapping or zombie', () => {
  Stub.spawn().exit();
  const fds = descriptors();
  for (let round = 0; round < 300; round++) {
    const stub = Stub.spawn();
    if (round % 2) stub.exit();
    else stub[Symbol.dispose]();
  }
  expect(descriptors()).toBe(fds);
  expect(mappings()).toBe(0);
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8');
  const zombies = children
    .split(' ')
    .filter(Boolean)
    .filter((pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').includes('(exe) Z'));
  expect(zombies).toEqual([]);
  localSyscalls().attempt('kill', 0x7fffffff, SIGKILL);
});

test('deferred calls are made before the next one that has a result, in their order', () => {
  using stub = Stub.spawn();
  const { sys } = stub;
  sys.deferring = true;
  sys.unshare(CLONE_NEWUTS);
  sys.sethostname('first');
  sys.sethostname('second');
  const fd = sys.openat2('/proc/sys/kernel/hostname', { flags: O_RDONLY });
  const text = new Uint8Array(64);
  const length = sys.read(fd, text);
  expect(new TextDecoder().decode(text.subarray(0, length))).toBe('second\n');
});

test('a deferred call that fails is named, and nothing after it is made', () => {
  using stub = Stub.spawn();
  const { sys } = stub;
  sys.unshare(CLONE_NEWUTS);
  sys.deferring = true;
  sys.sethostname('before');
  sys.step = 'go somewhere';
  sys.chdir('/nonexistent');
  sys.step = 'later';
  sys.sethostname('after');
  expect(() => sys.getpid()).toThrow(
    expect.objectContaining({ syscall: 'chdir', path: '/nonexistent', step: 'go somewhere' }),
  );
  const fd = sys.openat2('/proc/sys/kernel/hostname', { flags: O_RDONLY });
  const text = new Uint8Array(64);
  const length = sys.read(fd, text);
  expect(new TextDecoder().decode(text.subarray(0, length))).toBe('before\n');
});

test('more deferred calls than fit into one program are made all the same', () => {
  using stub = Stub.spawn();
  stub.sys.deferring = true;
  for (let index = 0; index < 500; index++) stub.sys.umask(index % 0o777);
  stub.sys.flush();
  expect(stub.sys.call('umask', 0)).toBe(499 % 0o777);
});

describe('calls whose result only later calls need', () => {
  test('open, read and close by one program', () => {
    using stub = Stub.spawn();
    const { sys } = stub;
    sys.deferring = true;
    const fd = sys.openat2Later('/proc/self/comm', { flags: O_RDONLY });
    const text = new Uint8Array(64);
    sys.order('read', fd, new Out(text), text.length);
    sys.close(fd);
    expect(fd).toMatchObject({ value: undefined });
    sys.flush();
    expect(new TextDecoder().decode(text)).toMatch(/^memfd:strata-stu|^\d+\n/);
    expect(sys.settle(fd)).toBeGreaterThan(3);
    // A result that is known serves calls of later programs, as the number it is.
    expect(sys.attempt('read', fd, new Out(text), 1)).toBe(-EBADF);
  });

  test('what is recovered from goes on with what follows it', () => {
    using stub = Stub.spawn();
    const { sys } = stub;
    sys.deferring = true;
    const missing = sys.openat2Later(
      '/nonexistent',
      { flags: O_RDONLY },
      {
        recover: (errno) => {
          expect(errno).toBe(ENOENT);
          return sys.openat2('/dev/null', { flags: O_RDONLY });
        },
      },
    );
    const other = sys.openat2Later('/dev/zero', { flags: O_RDONLY });
    const copy = sys.later('fcntl', [missing, F_DUPFD_CLOEXEC, 100]);
    expect(sys.settle(copy)).toBe(100);
    expect(sys.settle(other)).toBe(sys.settle(missing) + 1);
  });

  test('an accepted error is a result, any other one is thrown', () => {
    using stub = Stub.spawn();
    const { sys } = stub;
    sys.deferring = true;
    const accepted = sys.later('mkdirat', [AT_FDCWD, '/proc', 0o755], { accepts: [EEXIST] });
    const after = sys.openat2Later('/dev/null', { flags: O_RDONLY });
    expect(sys.settle(after)).toBeGreaterThan(0);
    expect(sys.settle(accepted)).toBe(-EEXIST);
    sys.later('mkdirat', [AT_FDCWD, '/proc/strata', 0o755], { accepts: [EEXIST] });
    sys.umask(0);
    expect(() => sys.flush()).toThrow(expect.objectContaining({ syscall: 'mkdirat' }));
  });

  test('a failure in the middle leaves what follows undone', () => {
    using stub = Stub.spawn();
    const { sys } = stub;
    sys.deferring = true;
    const fd = sys.openat2Later('/nonexistent', { flags: O_RDONLY });
    const copy = sys.later('fcntl', [fd, F_DUPFD_CLOEXEC, 100]);
    expect(() => sys.flush()).toThrow(expect.objectContaining({ path: '/nonexistent' }));
    expect(copy).toMatchObject({ value: undefined });
    // The number of what was never opened is a bug to ask for, not a descriptor.
    expect(() => sys.close(fd)).not.toThrow();
    expect(() => sys.flush()).toThrow('no such result');
  });

  test('without deferring they are plain calls', () => {
    const sys = localSyscalls();
    const fd = sys.openat2Later('/dev/null', { flags: O_RDONLY });
    expect(fd).toBeTypeOf('number');
    sys.close(fd);
    const recover = (): number => -7;
    expect(sys.openat2Later('/nonexistent', { flags: O_RDONLY }, { recover })).toBe(-7);
  });
});

test('a mailbox that somebody fills with rubbish costs its stub, and nothing of ours', () => {
  using warm = Stub.spawn();
  warm.exit();
  const before = descriptors();
  for (let round = 0; round < 30; round++) {
    using stub = Stub.spawn();
    const rubbish = [Buffer.alloc(65_536, 0xff), Buffer.alloc(65_536), randomBytes(65_536)][
      round % 3
    ]!;
    writeSync(stub.mailboxFd, rubbish, 0, rubbish.length, 0);
    try {
      // What is asked next is written over it, so that it mostly serves on.
      expect(stub.sys.attempt('getpid')).toBe(stub.pid);
    } catch (error) {
      expect(error).toBeInstanceOf(StrataError);
      expect(error).toMatchObject({ code: expect.stringMatching(/^(STUB_DIED|E[A-Z]+)$/) });
    }
  }
  expect(descriptors()).toBe(before);
  expect(mappings()).toBe(0);
});
