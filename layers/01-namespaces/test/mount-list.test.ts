/** Listing mounts, by statmount and by mountinfo, against the real kernel and findmnt(8). */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  AT_EMPTY_PATH,
  EINVAL,
  ENOENT,
  ENOSYS,
  errnoOf,
  listMounts,
  localSyscalls,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  type MountEntry,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
  mountOf,
  O_PATH,
  OPEN_TREE_CLONE,
  propagationType,
  RecordingExecutor,
  Stub,
  Syscalls,
} from '../src/index.ts';
import { MountNamespace } from './mount-namespace.ts';

const isRoot = process.getuid?.() === 0;
const local = localSyscalls();
const hasStatmount =
  local.attempt('statmount', null, null, 0, 0) !== -ENOSYS &&
  local.mountIdOf(-100, '/') !== undefined;
const rooted = test.skipIf(!isRoot);
// statmount(2) came with Linux 6.8; on an older kernel the fall-back alone is tested.
const both = test.skipIf(!isRoot || !hasStatmount);

/** A bit of everything: names with spaces, all attributes, all kinds of propagation. */
function furnish(area: MountNamespace): void {
  const { sys } = area;
  for (const name of [
    'with space',
    'tab\there',
    'back\\slash',
    'line\nbreak',
    'hash#',
    'ünïcode',
  ]) {
    area.makeTmpfs(name);
  }
  area.makeTmpfs('attributes');
  const set =
    MOUNT_ATTR_RDONLY |
    MOUNT_ATTR_NOSUID |
    MOUNT_ATTR_NODEV |
    MOUNT_ATTR_NOEXEC |
    MOUNT_ATTR_NODIRATIME |
    MOUNT_ATTR_NOSYMFOLLOW |
    MOUNT_ATTR_STRICTATIME;
  const fd = sys.openTree(-100, area.path('attributes'), 0);
  sys.mountSetattr(fd, { set, clear: 0x70 });
  area.makeTmpfs('shared');
  sys.mount({ target: area.path('shared'), flags: MS_SHARED });
  area.makeDirectories('slave', 'both');
  for (const name of ['slave', 'both']) {
    sys.moveMount(
      sys.openTree(-100, area.path('shared'), OPEN_TREE_CLONE),
      sys.openat2(area.path(name), { flags: O_PATH }),
    );
    sys.mount({ target: area.path(name), flags: MS_SLAVE });
  }
  sys.mount({ target: area.path('both'), flags: MS_SHARED });
  area.makeTmpfs('unbindable');
  sys.mount({ target: area.path('unbindable'), flags: MS_UNBINDABLE });
  area.makeDirectories('lower,comma', 'upper', 'work', 'overlay');
  const context = sys.fsopen('overlay');
  sys.fsconfigSet(context, 'source', 'my overlay');
  sys.fsconfigSet(context, 'lowerdir+', area.path('lower,comma'));
  sys.fsconfigSet(context, 'upperdir', area.path('upper'));
  sys.fsconfigSet(context, 'workdir', area.path('work'));
  sys.fsconfigCreate(context);
  const overlay = sys.fsmount(context, 0);
  sys.moveMount(overlay, sys.openat2(area.path('overlay'), { flags: O_PATH }));
}

/** What both sources know. */
const known = (mounts: readonly MountEntry[]): object[] =>
  mounts
    .map(({ uniqueId: _, uidMap: _u, gidMap: _g, ...rest }) => rest)
    .sort((one, other) => one.id - other.id);

both('statmount and mountinfo say the same of one’s own namespace', () => {
  using area = new MountNamespace();
  furnish(area);
  const { sys } = area;
  const bySyscall = listMounts({ sys, source: 'statmount' });
  const fromFile = listMounts({ sys, source: 'mountinfo' });
  expect(known(bySyscall)).toEqual(known(fromFile));
  expect(fromFile.some(({ mountPoint }) => mountPoint === area.path('line\nbreak'))).toBe(true);
  expect(bySyscall.every(({ uniqueId }) => uniqueId! > 2n ** 31n)).toBe(true);
  const slave = bySyscall.find(({ mountPoint }) => mountPoint === area.path('slave'))!;
  const shared = bySyscall.find(({ mountPoint }) => mountPoint === area.path('shared'))!;
  expect(slave.propagation).toEqual({ master: shared.propagation.peerGroup });
});

both('and of another process’s namespace', () => {
  using area = new MountNamespace();
  furnish(area);
  const { pid } = area;
  const bySyscall = listMounts({ pid, source: 'statmount' });
  expect(bySyscall.length).toBeGreaterThan(15);
  expect(known(bySyscall)).toEqual(known(listMounts({ pid, source: 'mountinfo' })));
});

both('of a process with a root of its own, what it can reach from there', () => {
  using area = new MountNamespace();
  area.makeTmpfs('jail');
  area.makeTmpfs('jail/inner');
  const { sys, pid } = area;
  sys.chroot(area.path('jail'));
  const points = listMounts({ pid }).map(({ mountPoint }) => mountPoint);
  expect(points).toEqual(['/', '/inner']);
  expect(() => listMounts({ pid, source: 'statmount' })).toThrow(
    expect.objectContaining({ code: 'ENOSYS' }),
  );
  // It itself has no /proc there, and does not need one.
  expect(listMounts({ sys }).map(({ mountPoint }) => mountPoint)).toEqual(points);
});

rooted('the mount of a path, of a descriptor, of a detached tree', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const path = area.makeTmpfs('one');
  sys.mkdirat(-100, `${path}/below`, 0o755);
  expect(mountOf(`${path}/below`, sys)).toMatchObject({ mountPoint: path, source: 'one' });
  const fd = sys.openat2(`${path}/below`, { flags: O_PATH });
  expect(mountOf(fd, sys).mountPoint).toBe(path);
  expect(() => mountOf(`${path}/missing`, sys)).toThrow(expect.objectContaining({ errno: ENOENT }));
  const detached = sys.openTree(fd, '', OPEN_TREE_CLONE | AT_EMPTY_PATH);
  // In no namespace: whether it can be looked at depends on the kernel, but it is never another.
  try {
    expect(mountOf(detached, sys)).toMatchObject({ source: 'one', root: '/below' });
  } catch (error) {
    expect(errnoOf(error) ?? (error as { code: string }).code).toSatisfy((code) =>
      [ENOENT, 'ENOENT'].includes(code as number),
    );
  }
});

rooted('a kernel without the calls: mountinfo', () => {
  const missing = (name: string): boolean => name === 'statmount' || name === 'listmount';
  const sys = new Syscalls({
    kind: 'local',
    invoke: (name, args) => (missing(name) ? -ENOSYS : local.executor.invoke(name, args)),
  });
  expect(known(listMounts({ sys }))).toEqual(known(listMounts({ source: 'mountinfo' })));
  expect(() => listMounts({ sys, source: 'statmount' })).toThrow(
    expect.objectContaining({ errno: ENOSYS, syscall: 'listmount' }),
  );
});

test('statmount’s answer with a string that does not end is refused', () => {
  const recording = new RecordingExecutor((name, args) => {
    if (name !== 'statmount') return undefined;
    const { bytes } = args[1] as { bytes: Uint8Array };
    const view = new DataView(bytes.buffer);
    view.setUint32(0, bytes.length, true);
    view.setUint32(8, 0x20, true);
    bytes.fill(0x61, 512);
    return 0;
  });
  expect(() => new Syscalls(recording).statmount({ mountId: 1n }, 0x20)).toThrow(
    expect.objectContaining({ errno: EINVAL, syscall: 'statmount' }),
  );
});

both('strings too long for the first buffer, more mounts than fit into one answer', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const long = 'n'.repeat(200);
  area.makeDirectories('work', 'upper', 'overlay');
  const context = sys.fsopen('overlay');
  for (let index = 0; index < 40; index++) {
    area.makeDirectories(`${long}${index}`);
    sys.fsconfigSet(context, 'lowerdir+', area.path(`${long}${index}`));
  }
  sys.fsconfigSet(context, 'upperdir', area.path('upper'));
  sys.fsconfigSet(context, 'workdir', area.path('work'));
  sys.fsconfigCreate(context);
  sys.moveMount(sys.fsmount(context, 0), sys.openat2(area.path('overlay'), { flags: O_PATH }));
  expect(mountOf(area.path('overlay'), sys).superOptions.join().length).toBeGreaterThan(8000);
  area.makeTmpfs('many');
  area.makeDirectories('many/place');
  const place = sys.openat2(area.path('many/place'), { flags: O_PATH });
  for (let index = 0; index < 600; index++) {
    const tree = sys.openTree(-100, area.path('upper'), OPEN_TREE_CLONE);
    sys.moveMount(tree, place);
    sys.close(tree);
  }
  const mounts = listMounts({ sys, source: 'statmount' });
  expect(mounts.length).toBeGreaterThan(600);
  expect(known(mounts)).toEqual(known(listMounts({ sys, source: 'mountinfo' })));
});

const findmnt = existsSync('/usr/bin/findmnt') || existsSync('/bin/findmnt');
test.skipIf(!isRoot || !findmnt)('findmnt says the same', () => {
  using area = new MountNamespace();
  furnish(area);
  const columns = 'ID,TARGET,PROPAGATION,VFS-OPTIONS,FSTYPE';
  const args = ['--task', String(area.pid), '--list', '--json', '-o', columns];
  const { stdout } = spawnSync('findmnt', args, { encoding: 'utf8' });
  const theirs = (JSON.parse(stdout).filesystems as Record<string, unknown>[]).sort(
    (one, other) => Number(one.id) - Number(other.id),
  );
  const ours = listMounts({ pid: area.pid })
    .sort((one, other) => one.id - other.id)
    .map((mount) => ({
      id: mount.id,
      target: mount.mountPoint,
      propagation: propagationType(mount.propagation),
      'vfs-options': mount.options.join(','),
      fstype: mount.type,
    }));
  expect(ours).toEqual(theirs.map((row) => ({ ...row, id: Number(row.id) })));
});

both('mounts that come and go while they are listed', () => {
  using area = new MountNamespace();
  area.makeTmpfs('stays');
  // A second stub in the same namespace: it mounts and unmounts as fast as it can.
  area.makeDirectories('flickers');
  using busy = area.stub.clone({ flags: 0 });
  for (let round = 0; round < 200; round++) {
    busy.sys.deferring = true;
    for (let times = 0; times < 8; times++) {
      busy.sys.mount({ source: 'x', target: area.path('flickers'), type: 'tmpfs' });
      busy.sys.umount(area.path('flickers'), 2);
    }
    busy.sys.post();
    const points = listMounts({ pid: area.pid }).map(({ mountPoint }) => mountPoint);
    expect(points).toContain(area.path('stays'));
    busy.sys.flush();
  }
});

rooted('a process that is not there', () => {
  using gone = Stub.spawn();
  const { pid } = gone;
  gone.exit();
  for (const source of ['statmount', 'mountinfo'] as const) {
    expect(() => listMounts({ pid, source })).toThrow(expect.objectContaining({ errno: ENOENT }));
  }
});
