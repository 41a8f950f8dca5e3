/**
 * What an ordinary user can do with layer 01 in a user namespace of its own, and what not.
 *
 * All of this is executed by a stub that has given up root for a made-up uid before it begins;
 * nobody.test.ts has a strata-ns that never was root.
 */
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  ALL_NAMESPACE_KINDS,
  AT_FDCWD,
  addAddress,
  CLONE_NEWUSER,
  changeLink,
  compileSeccomp,
  createLink,
  createTable,
  detectCgroups,
  getCapabilities,
  Keyring,
  LOOPBACK_INDEX,
  landlockAbi,
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_REC,
  type NamespaceKind,
  NetlinkError,
  Nftables,
  namespaceFlags,
  namespacesOf,
  O_CREAT,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  OPEN_TREE_CLONE,
  pinNamespace,
  RouteNetlink,
  Ruleset,
  S_IFCHR,
  SECCOMP_SET_MODE_FILTER,
  Stub,
  type Syscalls,
  setCapabilities,
  unpinNamespace,
} from '../src/index.ts';

/** Nobody's, on any machine. */
const UID = 61_234;
const RLIMIT_NOFILE = 7;

const refusal = (code: string): unknown =>
  expect.objectContaining({ code, hint: expect.any(String) as unknown });

/** A process of an ordinary user, as a login would give. */
function ordinary(): Stub {
  const stub = Stub.spawn();
  stub.sys.setgroups([]);
  stub.sys.setresgid(UID);
  stub.sys.setresuid(UID);
  // As after an execve; a process that has changed its uid is not dumpable.
  stub.sys.setDumpable(true);
  expect(stub.sys.call('getuid')).toBe(UID);
  expect(stub.sys.capget()).toEqual({ effective: 0n, permitted: 0n, inheritable: 0n });
  return stub;
}

function put(sys: Syscalls, path: string, text: string): void {
  const fd = sys.openat2(path, { flags: O_WRONLY | O_CREAT, mode: 0o644 });
  try {
    sys.write(fd, text);
  } finally {
    sys.close(fd);
  }
}

function get(sys: Syscalls, path: string): string {
  const fd = sys.openat2(path, { flags: O_RDONLY });
  const bytes = new Uint8Array(4096);
  const length = sys.read(fd, bytes);
  sys.close(fd);
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** The same, root of its own user namespace and of namespaces of further kinds. */
function rootInside(...kinds: NamespaceKind[]): Stub {
  const stub = ordinary();
  const { sys } = stub;
  sys.unshare(CLONE_NEWUSER);
  put(sys, '/proc/self/setgroups', 'deny');
  put(sys, '/proc/self/uid_map', `0 ${UID} 1\n`);
  put(sys, '/proc/self/gid_map', `0 ${UID} 1\n`);
  if (kinds.length > 0) sys.unshare(namespaceFlags(kinds));
  if (kinds.includes('mnt')) sys.mount({ target: '/', flags: MS_PRIVATE | MS_REC });
  return stub;
}

/** A tmpfs of its own, mounted on /tmp as descriptors. */
function mountTmpfs(sys: Syscalls): void {
  const config = sys.fsopen('tmpfs');
  sys.fsconfigSet(config, 'size', '4m');
  sys.fsconfigCreate(config);
  const mount = sys.fsmount(config, 0);
  const place = sys.openat2('/tmp', { flags: O_PATH | O_DIRECTORY });
  sys.moveMount(mount, place);
  for (const fd of [config, mount, place]) sys.close(fd);
}

test('without a user namespace, no kind is to be had', () => {
  using stub = ordinary();
  for (const kind of ALL_NAMESPACE_KINDS.filter((name) => name !== 'user')) {
    expect(() => stub.sys.unshare(namespaceFlags([kind])), kind).toThrow(refusal('EPERM'));
  }
});

test('with one, all kinds are, by unshare and by clone', () => {
  const ours = namespacesOf('self');
  using stub = rootInside(...ALL_NAMESPACE_KINDS.filter((kind) => kind !== 'user'));
  expect(stub.sys.call('getuid')).toBe(0);
  using child = stub.clone({ flags: 0 });
  const theirs = namespacesOf(child.pid);
  for (const kind of ALL_NAMESPACE_KINDS) expect(theirs.get(kind), kind).not.toBe(ours.get(kind));
  expect(child.sys.getpid()).toBe(1);
  child.sys.sethostname('of-a-user');
  using other = ordinary();
  const kinds = ALL_NAMESPACE_KINDS.filter((kind) => kind !== 'time');
  using cloned = other.clone({ flags: namespaceFlags(kinds) });
  expect(cloned.sys.getpid()).toBe(1);
});

test('clocks go differently; the file of offsets closes with the first process', () => {
  using stub = rootInside('time');
  put(stub.sys, '/proc/self/timens_offsets', 'boottime 1000000 0\n');
  using child = stub.clone({ flags: 0 });
  expect(Number(get(child.sys, '/proc/uptime').split('.')[0])).toBeGreaterThan(1_000_000);
  expect(() => put(stub.sys, '/proc/self/timens_offsets', 'boottime 5 0\n')).toThrow(
    expect.objectContaining({ code: 'EACCES' }),
  );
});

test('a map of ids that are not one’s own is refused by the kernel', () => {
  using stub = ordinary();
  stub.sys.unshare(CLONE_NEWUSER);
  expect(() => put(stub.sys, '/proc/self/uid_map', `0 ${UID} 2\n`)).toThrow(
    expect.objectContaining({ code: 'EPERM' }),
  );
  // The gid map waits for setgroups to be denied.
  expect(() => put(stub.sys, '/proc/self/gid_map', `0 ${UID} 1\n`)).toThrow(
    expect.objectContaining({ code: 'EPERM' }),
  );
});

test('mounts: tmpfs, bind, read-only by mount_setattr, pivot_root', () => {
  using stub = rootInside('mnt');
  const { sys } = stub;
  mountTmpfs(sys);
  sys.mkdirat(AT_FDCWD, '/tmp/tree', 0o755);
  put(sys, '/tmp/tree/file', 'before');
  const tree = sys.openTree(AT_FDCWD, '/tmp/tree', OPEN_TREE_CLONE);
  sys.mountSetattr(tree, { set: MOUNT_ATTR_RDONLY });
  const place = sys.openat2('/tmp/tree', { flags: O_PATH });
  sys.moveMount(tree, place);
  expect(() => put(sys, '/tmp/tree/file', 'after')).toThrow(
    expect.objectContaining({ code: 'EROFS' }),
  );
  sys.chdir('/tmp');
  sys.pivotRoot('.', '.');
  sys.umount('.', MNT_DETACH);
  expect(get(sys, '/tree/file')).toBe('before');
  expect(() => get(sys, '/etc/passwd')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});

test('overlayfs on a tmpfs, with attributes in user.*', () => {
  using stub = rootInside('mnt');
  const { sys } = stub;
  mountTmpfs(sys);
  for (const name of ['lower', 'upper', 'work', 'merged']) {
    sys.mkdirat(AT_FDCWD, `/tmp/${name}`, 0o755);
  }
  put(sys, '/tmp/lower/file', 'from below');
  const data = 'lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work,userxattr';
  sys.mount({ source: 'overlay', target: '/tmp/merged', type: 'overlay', data });
  put(sys, '/tmp/merged/file', 'FROM');
  sys.unlinkat(AT_FDCWD, '/tmp/merged/file');
  put(sys, '/tmp/merged/new', 'above');
  expect(get(sys, '/tmp/upper/new')).toBe('above');
  expect(get(sys, '/tmp/lower/file')).toBe('from below');
  expect(() => get(sys, '/tmp/merged/file')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});

test('devices, and file systems of namespaces that are not one’s own, are refused', () => {
  using stub = rootInside('mnt');
  const { sys } = stub;
  mountTmpfs(sys);
  expect(() => sys.mknodat(AT_FDCWD, '/tmp/null', S_IFCHR | 0o666, 0x103)).toThrow(
    expect.objectContaining({ code: 'EPERM', syscall: 'mknodat' }),
  );
  // The network namespace, of which sysfs tells, is the machine's.
  sys.mkdirat(AT_FDCWD, '/tmp/sys', 0o755);
  expect(() => sys.mount({ source: 'x', target: '/tmp/sys', type: 'sysfs' })).toThrow(
    refusal('EPERM'),
  );
  using outside = ordinary();
  expect(() => outside.sys.mount({ source: 'x', target: '/tmp', type: 'tmpfs' })).toThrow(
    refusal('EPERM'),
  );
});

test('a network of one’s own: loopback, a veth pair, nftables; never the machine’s', () => {
  using stub = rootInside('net');
  using netlink = new RouteNetlink(stub.sys);
  netlink.execute(
    changeLink(LOOPBACK_INDEX, { up: true }),
    createLink({ name: 'strata0', kind: { kind: 'veth', peer: { name: 'strata1' } }, up: true }),
  );
  const link = netlink.link('strata0')!;
  netlink.execute(addAddress({ link: link.index, address: '10.99.0.1', prefixLength: 24 }));
  expect(netlink.links().map(({ name }) => name)).toEqual(
    expect.arrayContaining(['lo', 'strata0', 'strata1']),
  );
  using nftables = new Nftables(stub.sys);
  const table = { family: 'ip', name: 'strata_user' } as const;
  nftables.transact(createTable(table));
  expect(nftables.hasTable(table)).toBe(true);
  using outside = ordinary();
  using machines = new RouteNetlink(outside.sys);
  expect(() => machines.execute(changeLink(LOOPBACK_INDEX, { up: true }))).toThrow(NetlinkError);
});

test('a seccomp filter needs no_new_privs, or to be root inside', () => {
  const { program, flags } = compileSeccomp({
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['getppid'], action: 'SCMP_ACT_ERRNO', errnoRet: 99 }],
  });
  using stub = ordinary();
  const install = ({ sys }: Stub): number => sys.seccomp(SECCOMP_SET_MODE_FILTER, flags, program);
  expect(() => install(stub)).toThrow(refusal('EACCES'));
  stub.sys.setNoNewPrivileges();
  install(stub);
  expect(stub.sys.attempt('getppid')).toBe(-99);
  using root = rootInside();
  install(root);
  expect(root.sys.attempt('getppid')).toBe(-99);
});

test('limits go down and never up, in a user namespace either', () => {
  using stub = rootInside();
  stub.sys.setResourceLimit({ resource: RLIMIT_NOFILE, soft: 64n, hard: 128n });
  expect(stub.sys.prlimit(0, RLIMIT_NOFILE)).toMatchObject({ soft: 64n, hard: 128n });
  expect(() =>
    stub.sys.setResourceLimit({ resource: RLIMIT_NOFILE, soft: 64n, hard: 256n }),
  ).toThrow(refusal('EPERM'));
});

test('capabilities inside: all at first, then fewer, ambient ones included', () => {
  using stub = rootInside();
  const { sys } = stub;
  const before = getCapabilities(sys);
  expect(before.effective).toBe(before.bounding);
  const chown = 1n;
  setCapabilities(sys, {
    bounding: chown,
    permitted: chown,
    effective: chown,
    inheritable: chown,
    ambient: chown,
  });
  expect(getCapabilities(sys).ambient).toBe(chown);
  expect(() => sys.sethostname('strata')).toThrow(expect.objectContaining({ code: 'EPERM' }));
});

test('a keyring, and a process that confines itself with Landlock', (context) => {
  using stub = ordinary();
  const { sys } = stub;
  const ring = Keyring.joinSession(sys, 'strata-ordinary');
  const key = ring.add('strata-key', 'secret');
  expect(ring.search('strata-key')).toBe(key);
  if (landlockAbi(sys) === 0) context.skip('Landlock is not switched on in this kernel');
  using rules = Ruleset.create(sys, { files: true });
  rules.allowPath('/usr', 'read');
  rules.restrictSelf();
  sys.close(sys.openat2('/usr', { flags: O_RDONLY }));
  expect(() => get(sys, '/etc/passwd')).toThrow(expect.objectContaining({ code: 'EACCES' }));
});

test('pins stay within one’s own mount namespace', () => {
  using stub = rootInside('mnt', 'uts', 'net');
  const { sys } = stub;
  mountTmpfs(sys);
  for (const kind of ['uts', 'net', 'user'] as const) {
    pinNamespace(`/proc/self/ns/${kind}`, `/tmp/${kind}`, sys);
    const fd = sys.openat2(`/tmp/${kind}`, { flags: O_RDONLY });
    expect(sys.statx(fd, '', 0x1000).inode).toBe(namespacesOf(stub.pid).get(kind));
    sys.close(fd);
    unpinNamespace(`/tmp/${kind}`, sys);
  }
  const own = mkdtempSync(join(tmpdir(), 'strata-ordinary-'));
  onTestFinished(() => rmSync(own, { recursive: true }));
  chownSync(own, UID, UID);
  using outside = ordinary();
  expect(() => pinNamespace('/proc/self/ns/net', `${own}/pin`, outside.sys)).toThrow(
    refusal('EPERM'),
  );
  expect(readdirSync(own)).toEqual([]);
});

test('a cgroup that was delegated: a child of it, a limit, a process; not one outside', (context) => {
  const pids = detectCgroups().hierarchies.find(({ controllers }) => controllers.includes('pids'));
  if (pids?.version !== 1) return context.skip('no pids hierarchy of cgroup v1');
  const delegated = `${pids.mountPoint}/strata-ordinary-${process.pid}`;
  mkdirSync(delegated);
  onTestFinished(() => rmdirSync(delegated));
  for (const path of [delegated, `${delegated}/cgroup.procs`]) chownSync(path, UID, UID);
  using stub = ordinary();
  const { sys } = stub;
  sys.mkdirat(AT_FDCWD, `${delegated}/inner`, 0o755);
  onTestFinished(() => rmdirSync(`${delegated}/inner`));
  put(sys, `${delegated}/inner/pids.max`, '1');
  put(sys, `${delegated}/inner/cgroup.procs`, String(stub.pid));
  expect(readFileSync(`${delegated}/inner/cgroup.procs`, 'utf8').trim()).toBe(String(stub.pid));
  expect(() => stub.clone({ flags: 0 })).toThrow(expect.objectContaining({ code: 'EAGAIN' }));
  expect(() => sys.mkdirat(AT_FDCWD, `${pids.mountPoint}/strata-no`, 0o755)).toThrow(
    expect.objectContaining({ code: 'EACCES' }),
  );
  expect(() => put(sys, `${delegated}/pids.max`, '5')).toThrow(
    expect.objectContaining({ code: 'EACCES' }),
  );
  stub.exit();
});
