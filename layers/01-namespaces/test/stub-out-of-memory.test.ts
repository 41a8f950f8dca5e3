/** A stub that the OOM killer ends in the middle of a call. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { StubDiedError } from '../src/errors/syscall-error.ts';
import {
  Cgroup,
  detectCgroups,
  homeOf,
  O_RDONLY,
  PROT_READ,
  PROT_WRITE,
  Stub,
} from '../src/index.ts';

const PATH = `/strata-test-stub-oom-${process.pid}`;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const BYTES = 64 << 20;
const hasMemory = homeOf(detectCgroups(), 'memory') !== undefined;

const mailboxes = (): number =>
  readFileSync('/proc/self/maps', 'utf8').split('strata-mailbox').length - 1;
const descriptors = (): number => readdirSync('/proc/self/fd').length;

afterEach(() => {
  expect(Cgroup.openIfThere(PATH)).toBeUndefined();
});

test.skipIf(!hasMemory)('is an error that says so, and leaks nothing', () => {
  // The executable of stubs is made once and kept.
  Stub.spawn().exit();
  const before = descriptors();
  const cgroup = Cgroup.create(PATH);
  try {
    cgroup.set({ memory: { limit: 4 << 20, swap: 4 << 20 } });
    const stub = Stub.spawn();
    cgroup.attach(stub.pid);
    const zero = stub.sys.openat2('/dev/zero', { flags: O_RDONLY });
    const flags = PROT_READ | PROT_WRITE;
    const address = stub.sys.call('mmap', 0, BYTES, flags, MAP_PRIVATE_ANONYMOUS, -1, 0);
    // The kernel fills the pages for it, one after the other, and charges them to the cgroup.
    const read = (): number => stub.sys.call('read', zero, address, BYTES);
    expect(read).toThrow(StubDiedError);
    expect(read).toThrow(/read/);
    expect(cgroup.oomKills()).toBeGreaterThan(0);
    stub[Symbol.dispose]();
  } finally {
    cgroup.kill();
    cgroup.delete();
  }
  expect(mailboxes()).toBe(0);
  expect(descriptors()).toBe(before);
});
