import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { parseProcessStatus, readProcessFile } from '../processes/process-status.ts';
import { Stub } from '../stub/stub.ts';
import { CLONE_NEWNET, CLONE_NEWUSER, MS_PRIVATE, MS_REC } from '../syscalls/constants.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { parsePasswd } from '../users/passwd.ts';
import { singleId, writeIdMaps } from './id-map.ts';
import { ALL_NAMESPACE_KINDS, namespaceFlags, namespaceKind } from './kinds.ts';
import {
  listNamespaces,
  type NamespaceEntry,
  namespacesOf,
  openNamespace,
  parseNamespaceLink,
} from './list.ts';
import { Namespace } from './namespace.ts';
import { pinNamespace, unpinNamespace } from './pin.ts';

const LSNS = '/usr/bin/lsns';

function find(inode: number | undefined): NamespaceEntry {
  const entry = listNamespaces().find((candidate) => candidate.inode === inode);
  if (!entry) throw new Error(`namespace ${inode} is not listed`);
  return entry;
}

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'strata-namespaces-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

test('each kind tells its name, its inode and its owner', () => {
  for (const kind of ALL_NAMESPACE_KINDS) {
    using namespace = Namespace.ofProcess('self', kind);
    expect(namespace.kind).toBe(kind);
    expect(readlinkSync(`/proc/self/ns/${kind}`)).toBe(`${kind}:[${namespace.inode}]`);
    using owner = namespace.owner();
    if (owner) expect(owner.kind).toBe('user');
  }
  expect(namespaceKind('mount')).toBe('mnt');
  for (const name of ['', 'constructor', 'nett']) {
    expect(() => namespaceKind(name)).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_NAMESPACE_KIND' }),
    );
  }
});

test('what is no namespace is refused without being opened', () => {
  const fifo = join(directory(), 'fifo');
  execFileSync('mkfifo', [fifo]);
  for (const path of [fifo, '/dev/null', '/proc/self/status']) {
    expect(() => Namespace.open(path)).toThrow(
      expect.objectContaining({ code: 'NOT_A_NAMESPACE', path }),
    );
  }
});

test('all eight at once: listed with member, owner, creator and parent', () => {
  using launcher = Stub.spawn();
  using child = launcher.clone({ flags: namespaceFlags(ALL_NAMESPACE_KINDS) - 0x80 });
  const own = namespacesOf(child.pid);
  const ours = namespacesOf('self');
  for (const kind of ALL_NAMESPACE_KINDS) {
    if (kind === 'time') continue;
    expect(own.get(kind), kind).not.toBe(ours.get(kind));
    const entry = find(own.get(kind));
    expect(entry).toMatchObject({ kind, members: [child.pid], pins: [], ownerUid: 0 });
    expect(entry.owner).toBe(kind === 'user' ? ours.get('user') : own.get('user'));
    expect(entry.parent).toBe(['user', 'pid'].includes(kind) ? ours.get(kind) : undefined);
    using opened = openNamespace(entry);
    expect(opened?.inode).toBe(entry.inode);
  }
});

test('a namespace that only holds others, and one that only children will see, are listed', () => {
  using outer = Stub.spawn();
  outer.sys.unshare(CLONE_NEWUSER);
  writeIdMaps(outer.pid, { uids: singleId(0, 0), gids: singleId(0, 0) });
  const middle = namespacesOf(outer.pid).get('user');
  outer.sys.unshare(CLONE_NEWUSER | 0x80);
  const inner = find(namespacesOf(outer.pid).get('user'));
  expect(inner.parent).toBe(middle);
  expect(find(middle)).toMatchObject({ kind: 'user', members: [], ownerUid: 0 });
  const link = parseNamespaceLink(readlinkSync(`/proc/${outer.pid}/ns/time_for_children`));
  expect(find(link?.inode)).toMatchObject({ members: [], birthplaceOf: [outer.pid] });
});

test('a pin keeps a namespace, is listed, and can be taken away', () => {
  const target = join(directory(), 'strata-pin');
  using stub = Stub.spawn();
  stub.sys.unshare(CLONE_NEWNET);
  const inode = namespacesOf(stub.pid).get('net');
  pinNamespace(`/proc/${stub.pid}/ns/net`, target);
  expect(() => pinNamespace(`/proc/${stub.pid}/ns/net`, target)).toThrow(
    expect.objectContaining({ code: 'EEXIST' }),
  );
  stub.exit();
  expect(find(inode)).toMatchObject({
    kind: 'net',
    members: [],
    pins: expect.arrayContaining([expect.objectContaining({ path: target })]) as unknown,
  });
  using namespace = Namespace.open(target);
  expect(namespace.inode).toBe(inode);
  using visitor = Stub.spawn();
  const fd = visitor.sys.openat2(target, { flags: 0 });
  visitor.sys.setns(fd, CLONE_NEWNET);
  expect(namespacesOf(visitor.pid).get('net')).toBe(inode);
  unpinNamespace(target);
  expect(existsSync(target)).toBe(false);
});

test('what is no pin stays as it is; a pin that cannot be made leaves no file', () => {
  const path = directory();
  const file = join(path, 'file');
  writeFileSync(file, 'precious');
  for (const target of [file, '/proc/self/ns/net']) {
    expect(() => unpinNamespace(target)).toThrow(expect.objectContaining({ code: 'NOT_A_PIN' }));
  }
  // A mount namespace in a newer one, or in itself, would keep itself alive.
  using stub = Stub.spawn();
  stub.sys.unshare(namespaceFlags(['mnt']));
  stub.sys.mount({ target: '/', flags: MS_PRIVATE | MS_REC });
  const pin = join(path, 'pin');
  expect(() => pinNamespace('/proc/self/ns/mnt', pin, stub.sys)).toThrow(
    expect.objectContaining({
      code: 'CANNOT_PIN',
      hint: expect.stringContaining('older') as unknown,
    }),
  );
  expect(existsSync(pin)).toBe(false);
  expect(() => pinNamespace('/proc/self/ns/net', '/nonexistent/pin')).toThrow(
    expect.objectContaining({ code: 'ENOENT' }),
  );
});

test('a pin in another mount namespace is found', () => {
  using stub = Stub.spawn();
  stub.sys.unshare(namespaceFlags(['mnt', 'uts']));
  stub.sys.mount({ target: '/', flags: MS_PRIVATE | MS_REC });
  const target = join(directory(), 'strata-pin');
  const inode = namespacesOf(stub.pid).get('uts');
  pinNamespace(`/proc/self/ns/uts`, target, stub.sys);
  const entry = find(inode);
  expect(entry.pins).toEqual([{ path: target, pid: stub.pid }]);
  using opened = openNamespace({ ...entry, members: [] });
  expect(opened?.inode).toBe(inode);
});

test.skipIf(!existsSync(LSNS))('lsns(8) sees the same members (skipped: no lsns)', () => {
  using launcher = Stub.spawn();
  using child = launcher.clone({
    flags: namespaceFlags(['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup']),
  });
  const text = execFileSync(
    LSNS,
    ['--json', '--output', 'NS,TYPE,NPROCS,PID,USER', '--task', String(child.pid)],
    {
      encoding: 'utf8',
    },
  );
  const { namespaces } = JSON.parse(text) as {
    namespaces: { ns: number; type: string; nprocs: number; pid: number }[];
  };
  const ours = listNamespaces();
  const same = namespaces.filter(({ type }) => type !== 'time');
  expect(same).toHaveLength(7);
  for (const { ns, type, nprocs, pid } of same) {
    const entry = ours.find(({ inode }) => inode === ns);
    expect(entry).toMatchObject({ kind: type });
    expect([entry!.members.length, entry!.members[0]]).toEqual([nprocs, pid]);
  }
});

test('a process that is not there, links that are none', () => {
  expect(() => namespacesOf(2 ** 22 + 1)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
  expect(parseNamespaceLink('net:[4026531840]')).toEqual({ kind: 'net', inode: 4_026_531_840 });
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^[a-z]{0,9}:\[[0-9x]{0,12}\]$/)),
      (text) => {
        const link = parseNamespaceLink(text);
        if (link) expect(`${link.kind}:[${link.inode}]`.length).toBeLessThanOrEqual(text.length);
      },
    ),
  );
});

/** A real file with bytes changed, lines cut, repeated or exchanged: what a fuzzer would find first. */
const mutated = (text: string): fc.Arbitrary<string> =>
  fc
    .array(
      fc.record({
        at: fc.integer({ min: 0, max: text.length }),
        cut: fc.integer({ min: 0, max: 40 }),
        put: fc.oneof(fc.string(), fc.constantFrom('\n', '\t', '-1', '99999999999', 'NSpid:\t')),
      }),
      { minLength: 1, maxLength: 5 },
    )
    .map((edits) =>
      edits.reduce(
        (some, { at, cut, put }) => some.slice(0, at) + put + some.slice(at + cut),
        text,
      ),
    );

test('a status file, however damaged, is read or refused with a typed error', () => {
  fc.assert(
    fc.property(mutated(readProcessFile('self', 'status')), (text) => {
      try {
        const { uids, pids } = parseProcessStatus(text);
        for (const number of [...Object.values(uids), ...pids] as number[]) {
          expect(Number.isInteger(number)).toBe(true);
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_STATUS_FILE' });
      }
    }),
    { numRuns: 500 },
  );
});

test('a passwd file of any content gives names of whole numbers', () => {
  const file =
    'root:x:0:0::/root:/bin/sh\nalso:x:0:0\n\n# note\nx\n:x:5:5\nbob:x:-1:0\nann:x:12:1::/:\n';
  expect([...parsePasswd(file)]).toEqual([
    [0, 'root'],
    [12, 'ann'],
  ]);
  fc.assert(
    fc.property(mutated(file), (text) => {
      for (const uid of parsePasswd(text).keys()) expect(Number.isSafeInteger(uid)).toBe(true);
    }),
  );
});

test('nothing is left open', () => {
  const count = (): number => {
    const fds = localSyscalls().openat2('/proc/self/fd', { flags: 0 });
    localSyscalls().close(fds);
    return fds;
  };
  listNamespaces();
  const before = count();
  listNamespaces();
  expect(count()).toBe(before);
});
