/** Confined stubs: what no rule allows is refused by the kernel. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { EACCES, ECONNREFUSED, ENOSYS, EOPNOTSUPP, EPERM } from '../errors/errno.ts';
import { Stub } from '../stub/stub.ts';
import { AF_INET, O_CREAT, O_RDONLY, O_WRONLY, SOCK_STREAM } from '../syscalls/constants.ts';
import { RecordingExecutor } from '../syscalls/recording.ts';
import { localSyscalls, Syscalls } from '../syscalls/syscalls.ts';
import { abiOf, maskOf, namesOf, rightsOfAbi } from './access-rights.ts';
import { landlockAbi, Ruleset } from './ruleset.ts';

const abi = landlockAbi(localSyscalls());
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-landlock-'));
  for (const name of ['open', 'closed']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'open/file'), 'text');
  writeFileSync(join(directory, 'closed/file'), 'text');
  onTestFinished(() => rmSync(directory, { recursive: true }));
});

const tryOpen = (stub: Stub, path: string, flags: number): number => {
  const how = new Uint8Array(24);
  new DataView(how.buffer).setUint32(0, flags, true);
  if (flags & O_CREAT) new DataView(how.buffer).setUint32(8, 0o600, true);
  const fd = stub.sys.attempt('openat2', -100, join(directory, path), how, 24);
  if (fd >= 0) stub.sys.close(fd);
  return Math.min(fd, 0);
};

test.skipIf(abi < 1)('paths that no rule allows are closed', () => {
  using stub = Stub.spawn();
  using ruleset = Ruleset.create(stub.sys, { files: true });
  ruleset.allowPath(join(directory, 'open'), 'read');
  ruleset.allowPath(join(directory, 'closed/file'), 'write');
  ruleset.restrictSelf();
  expect(tryOpen(stub, 'open/file', O_RDONLY)).toBe(0);
  expect(tryOpen(stub, 'open/file', O_WRONLY)).toBe(-EACCES);
  expect(tryOpen(stub, 'open/new', O_WRONLY | O_CREAT)).toBe(-EACCES);
  expect(tryOpen(stub, 'closed/file', O_WRONLY)).toBe(0);
  expect(tryOpen(stub, 'closed/file', O_RDONLY)).toBe(-EACCES);
  expect(stub.sys.getNoNewPrivileges()).toBe(true);
});

test.skipIf(abi < 1)('read-write is all of it, and children inherit', () => {
  using stub = Stub.spawn();
  using ruleset = Ruleset.create(stub.sys, { files: true });
  ruleset.allowPath(join(directory, 'open'), 'read-write');
  ruleset.restrictSelf();
  using child = stub.clone({ flags: 0 });
  expect(tryOpen(child, 'open/new', O_WRONLY | O_CREAT)).toBe(0);
  expect(tryOpen(child, 'closed/file', O_RDONLY)).toBe(-EACCES);
});

const connect = (stub: Stub, port: number): number => {
  const fd = stub.sys.socket(AF_INET, SOCK_STREAM, 0);
  const address = Uint8Array.from([2, 0, port >> 8, port & 255, 127, 0, 0, 1, ...Array(8).fill(0)]);
  const result = stub.sys.attempt('connect', fd, address, address.length);
  stub.sys.close(fd);
  return result;
};

test.skipIf(abi < 4)('TCP ports that no rule allows are closed', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  using stub = Stub.spawn();
  using ruleset = Ruleset.create(stub.sys, { tcp: true });
  ruleset.allowPort(port, 'connect-tcp');
  ruleset.restrictSelf();
  expect(connect(stub, port)).toBe(0);
  expect([-EACCES]).toContain(connect(stub, port === 1 ? 2 : 1));
  expect(connect(stub, 1)).not.toBe(-ECONNREFUSED);
});

test.skipIf(abi < 6)('signals do not leave a scope', () => {
  using outside = Stub.spawn();
  using stub = Stub.spawn();
  using ruleset = Ruleset.create(stub.sys, { scopes: ['signal'] });
  ruleset.restrictSelf();
  expect(stub.sys.attempt('kill', outside.pid, 0)).toBe(-EPERM);
  using child = stub.clone({ flags: 0 });
  expect(stub.sys.attempt('kill', child.pid, 0)).toBe(0);
});

test.each([-ENOSYS, -EOPNOTSUPP])(
  'a kernel without Landlock (%i) confines nothing and says so',
  (no) => {
    const recorder = new RecordingExecutor((name) =>
      name === 'landlock_create_ruleset' ? no : undefined,
    );
    const sys = new Syscalls(recorder);
    expect(landlockAbi(sys)).toBe(0);
    using ruleset = Ruleset.create(sys, { files: true, tcp: true });
    expect(ruleset.isEffective).toBe(false);
    ruleset.allowPort(1, 'bind-tcp');
    ruleset.restrictSelf();
    expect(recorder.records.map(({ name }) => name)).not.toContain('landlock_restrict_self');
    expect(() => Ruleset.create(sys, { files: true, strict: true })).toThrow(
      expect.objectContaining({ code: 'LANDLOCK_TOO_OLD', hint: expect.stringContaining('ABI') }),
    );
  },
);

test('an older kernel is asked for no more than it has', () => {
  const recorder = new RecordingExecutor((name, args) =>
    name === 'landlock_create_ruleset' && args[0] === null ? 2 : undefined,
  );
  const sys = new Syscalls(recorder);
  using ruleset = Ruleset.create(sys, { files: true, tcp: true, scopes: ['signal'] });
  expect(ruleset.handled).toEqual({ filesystem: (1n << 14n) - 1n, network: 0n, scoped: 0n });
  expect(() => Ruleset.create(sys, { tcp: true, strict: true })).toThrow(/bind-tcp, connect-tcp/);
});

test('rights have names, bits and a first version', () => {
  expect(rightsOfAbi('filesystem', 1)).toBe((1n << 13n) - 1n);
  expect(rightsOfAbi('filesystem', 7)).toBe((1n << 16n) - 1n);
  expect(maskOf('filesystem', ['execute', 'truncate'])).toBe(1n | (1n << 14n));
  expect(namesOf('scoped', 2n)).toEqual(['signal']);
  expect(abiOf('filesystem', maskOf('filesystem', ['truncate']))).toBe(3);
  expect(() => maskOf('network', ['udp'])).toThrow(RangeError);
});

test('wrong ports and paths are errors, and nothing is left open', () => {
  const sys = localSyscalls();
  const before = readdirSync('/proc/self/fd').length;
  {
    using ruleset = Ruleset.create(sys, { files: true, tcp: true });
    for (const port of [-1, 65_536, 0.5, Number.NaN]) {
      expect(() => ruleset.allowPort(port, 'bind-tcp')).toThrow(
        expect.objectContaining({ code: 'INVALID_PORT' }),
      );
    }
    expect(() => ruleset.allowPath(join(directory, 'nowhere'), 'read')).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
  }
  expect(readdirSync('/proc/self/fd').length).toBe(before);
});
