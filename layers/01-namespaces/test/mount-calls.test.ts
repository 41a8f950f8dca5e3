/** The descriptor-based mount interface, call by call, on the real kernel. */
import { expect, test } from 'vitest';
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  CLONE_NEWNS,
  CLONE_NEWUSER,
  EINVAL,
  ENODEV,
  ENOSYS,
  EPERM,
  FileSystemError,
  listMounts,
  MNT_DETACH,
  MOUNT_ATTR_ATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MOVE_MOUNT_BENEATH,
  MOVE_MOUNT_SET_GROUP,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
  mountOf,
  O_CREAT,
  O_PATH,
  O_WRONLY,
  OPEN_TREE_CLONE,
  RecordingExecutor,
  SyscallError,
  Syscalls,
} from '../src/index.ts';
import { MountNamespace } from './mount-namespace.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);
const place = (area: MountNamespace, name: string): number =>
  area.sys.openat2(area.path(name), { flags: O_PATH });

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

rooted('a file system says what is wrong with its configuration', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const context = sys.fsopen('tmpfs');
  const error = thrownBy(() => sys.fsconfigSet(context, 'sise', '4k')) as FileSystemError;
  expect(error).toBeInstanceOf(FileSystemError);
  expect(error).toBeInstanceOf(SyscallError);
  expect(error).toMatchObject({ errno: EINVAL, syscall: 'fsconfig', code: 'EINVAL' });
  expect(error.messages).toEqual([{ level: 'error', text: expect.stringContaining('sise') }]);
  expect(error.message).toMatch(/fsconfig\(.*"sise".*\): EINVAL: .*sise/);
  // What was read is gone; the configuration can be gone on with.
  expect(sys.fileSystemMessages(context)).toEqual([]);
  sys.fsconfigSet(context, 'size', '64k');
  sys.fsconfigCreate(context);
  sys.close(sys.fsmount(context, 0));
});

rooted('and when calls are deferred, in the name of the call that failed', () => {
  using area = new MountNamespace();
  const { sys } = area;
  sys.deferring = true;
  sys.step = 'mount /tmp';
  const context = sys.fsopenLater('tmpfs');
  sys.fsconfigSet(context, 'size', '64k');
  sys.fsconfigSet(context, 'mode', 'rwx');
  sys.fsconfigCreate(context);
  const fd = sys.fsmountLater(context, 0);
  sys.step = 'something else';
  expect(thrownBy(() => sys.settle(fd))).toMatchObject({
    name: 'FileSystemError',
    step: 'mount /tmp',
    syscall: 'fsconfig',
    message: expect.stringMatching(/"mode".*EINVAL: .*mode/),
  });
});

rooted('no message, no more than the errno', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const unknown = thrownBy(() => sys.fsopen('strata-no-such-fs'));
  expect(unknown).not.toBeInstanceOf(FileSystemError);
  expect(unknown).toMatchObject({
    errno: ENODEV,
    hint: expect.stringContaining('/proc/filesystems'),
  });
  expect(thrownBy(() => sys.fsconfigCreate(-1))).toMatchObject({
    syscall: 'fsconfig',
    code: 'EINVAL',
  });
});

rooted('parameters as path, as descriptor; a superblock is reconfigured', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeDirectories('lower', 'other', 'merged');
  const context = sys.fsopen('overlay');
  sys.fsconfigSet(context, 'lowerdir+', area.path('lower'));
  // As a descriptor since Linux 6.13.
  try {
    sys.fsconfigSetFd(context, 'lowerdir+', place(area, 'other'));
  } catch (error) {
    expect(error).toMatchObject({ errno: EINVAL });
    sys.fsconfigSet(context, 'lowerdir+', area.path('other'));
  }
  sys.fsconfigCreate(context);
  sys.moveMount(sys.fsmount(context, 0), place(area, 'merged'));
  expect(mountOf(area.path('merged'), sys).superOptions.join()).toContain(area.path('other'));

  const path = area.makeTmpfs('resized');
  const picked = sys.fspick(place(area, 'resized'));
  sys.fsconfigSet(picked, 'size', '128k');
  sys.fsconfigReconfigure(picked);
  expect(mountOf(path, sys).superOptions).toContain('size=128k');
  const file = sys.openat2(`${path}/file`, { flags: O_CREAT | O_WRONLY, mode: 0o600 });
  sys.write(file, new Uint8Array(64 << 10));
  const shrunk = sys.fspick(-100, path);
  sys.fsconfigSet(shrunk, 'size', '4k');
  expect(thrownBy(() => sys.fsconfigReconfigure(shrunk))).toMatchObject({
    name: 'FileSystemError',
    message: expect.stringContaining('Too small'),
  });
});

rooted('a superblock of its own', (context) => {
  using area = new MountNamespace();
  const { sys } = area;
  const first = sys.fsopen('tmpfs');
  try {
    sys.fsconfigCreateExclusive(first);
  } catch (error) {
    expect((error as SyscallError).code).toBe('EOPNOTSUPP');
    context.skip('FSCONFIG_CMD_CREATE_EXCL needs Linux 6.6');
  }
  // sysfs has one superblock a network namespace, which is mounted already.
  const second = sys.fsopen('sysfs');
  expect(thrownBy(() => sys.fsconfigCreateExclusive(second))).toMatchObject({ code: 'EBUSY' });
});

rooted('a tree is copied alone or with all below, detached until it is moved', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeTmpfs('from');
  area.makeTmpfs('from/inner');
  area.makeDirectories('alone', 'whole');
  const before = listMounts({ sys }).length;
  const alone = sys.openTree(-100, area.path('from'), OPEN_TREE_CLONE);
  const whole = sys.openTree(-100, area.path('from'), OPEN_TREE_CLONE | AT_RECURSIVE);
  expect(listMounts({ sys })).toHaveLength(before);
  sys.moveMount(alone, place(area, 'alone'));
  sys.moveMount(whole, place(area, 'whole'));
  const points = listMounts({ sys }).map(({ mountPoint }) => mountPoint);
  expect(points.slice(before).sort()).toEqual(
    [area.path('alone'), area.path('whole'), area.path('whole/inner')].sort(),
  );
});

rooted('attributes are set and cleared, of one mount or of all below', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const top = area.makeTmpfs('top');
  const inner = area.makeTmpfs('top/inner');
  const fd = sys.openTree(-100, top, 0);
  const optionsOf = (path: string): string[] => mountOf(path, sys).options;
  sys.mountSetattr(fd, { set: MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY });
  expect([optionsOf(top), optionsOf(inner)]).toEqual([
    ['ro', 'nosuid', 'relatime'],
    ['rw', 'relatime'],
  ]);
  sys.mountSetattr(
    fd,
    {
      set: MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_STRICTATIME,
      clear: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_ATIME,
      propagation: MS_SHARED,
    },
    AT_RECURSIVE,
  );
  expect([optionsOf(top), optionsOf(inner)]).toEqual([
    ['rw', 'nodev', 'noexec'],
    ['rw', 'nodev', 'noexec'],
  ]);
  expect(mountOf(inner, sys).propagation.peerGroup).toBeGreaterThan(0);
  sys.mountSetattr(fd, { propagation: MS_PRIVATE });
  expect(mountOf(top, sys).propagation).toEqual({});
  expect(mountOf(inner, sys).propagation.peerGroup).toBeGreaterThan(0);
});

rooted('an attribute that cannot be is refused, and nothing is changed by half', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const top = area.makeTmpfs('top');
  area.makeTmpfs('top/inner');
  const fd = sys.openTree(-100, top, 0);
  // Somebody writes to the inner one: no read-only for both.
  const file = sys.openat2(`${top}/inner/file`, { flags: O_CREAT | O_WRONLY, mode: 0o600 });
  expect(
    thrownBy(() => sys.mountSetattr(fd, { set: MOUNT_ATTR_RDONLY }, AT_RECURSIVE)),
  ).toMatchObject({
    code: 'EBUSY',
    syscall: 'mount_setattr',
  });
  expect(mountOf(top, sys).options).toContain('rw');
  sys.close(file);
  expect(thrownBy(() => sys.mountSetattr(fd, { set: 0x4000_0000 }))).toMatchObject({
    errno: EINVAL,
  });
});

rooted('a mount slides in beneath another', (context) => {
  using area = new MountNamespace();
  const { sys } = area;
  const path = area.makeTmpfs('stack');
  sys.mkdirat(-100, `${path}/upper-one`, 0o755);
  const lower = sys.fsopen('tmpfs');
  sys.fsconfigSet(lower, 'source', 'beneath');
  sys.fsconfigCreate(lower);
  const fd = sys.fsmount(lower, 0);
  try {
    sys.moveMount(fd, place(area, 'stack'), MOVE_MOUNT_BENEATH);
  } catch (error) {
    expect(error).toMatchObject({ errno: EINVAL });
    context.skip('MOVE_MOUNT_BENEATH needs Linux 6.5');
  }
  expect(mountOf(path, sys).source).toBe('stack');
  sys.umount(path, MNT_DETACH);
  expect(mountOf(path, sys).source).toBe('beneath');
});

rooted('a mount joins the peer group of another', (context) => {
  using area = new MountNamespace();
  const { sys } = area;
  const one = area.makeTmpfs('one');
  area.makeDirectories('two');
  sys.moveMount(sys.openTree(-100, one, OPEN_TREE_CLONE), place(area, 'two'));
  sys.mount({ target: one, flags: MS_SHARED });
  const group = mountOf(one, sys).propagation.peerGroup;
  expect(mountOf(area.path('two'), sys).propagation).toEqual({});
  try {
    sys.moveMount(place(area, 'one'), place(area, 'two'), MOVE_MOUNT_SET_GROUP);
  } catch (error) {
    expect(error).toMatchObject({ errno: EINVAL });
    context.skip('MOVE_MOUNT_SET_GROUP needs Linux 5.15');
  }
  expect(mountOf(area.path('two'), sys).propagation).toEqual({ peerGroup: group });
});

rooted('what is mounted on a slave’s master arrives, and not the other way', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const master = area.makeTmpfs('master');
  sys.mount({ target: master, flags: MS_SHARED });
  sys.mkdirat(-100, `${master}/a`, 0o755);
  sys.mkdirat(-100, `${master}/b`, 0o755);
  area.makeDirectories('slave');
  sys.moveMount(sys.openTree(-100, master, OPEN_TREE_CLONE), place(area, 'slave'));
  sys.mount({ target: area.path('slave'), flags: MS_SLAVE });
  sys.mount({ source: 'x', target: `${master}/a`, type: 'tmpfs' });
  sys.mount({ source: 'y', target: area.path('slave/b'), type: 'tmpfs' });
  const points = listMounts({ sys }).map(({ mountPoint }) => mountPoint);
  expect(points).toContain(area.path('slave/a'));
  expect(points).not.toContain(`${master}/b`);
});

rooted('copy and attributes in one call', (context) => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeTmpfs('from');
  area.makeDirectories('to');
  if (sys.attempt('open_tree_attr', -1, null, 0, null, 0) === -ENOSYS) {
    context.skip('open_tree_attr needs Linux 6.15');
  }
  const attributes = { set: MOUNT_ATTR_RDONLY };
  const fd = sys.openTreeAttr(-100, area.path('from'), OPEN_TREE_CLONE, attributes);
  sys.moveMount(fd, place(area, 'to'));
  expect(mountOf(area.path('to'), sys).options).toContain('ro');
  expect(mountOf(area.path('from'), sys).options).toContain('rw');
});

rooted('a mount that is locked in a less privileged namespace', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeTmpfs('locked');
  sys.mountSetattr(place(area, 'locked'), { set: MOUNT_ATTR_RDONLY });
  using child = area.stub.clone({ flags: CLONE_NEWUSER | CLONE_NEWNS });
  // Without an id map its owner still has all capabilities, in its own user namespace.
  const fd = child.sys.openTree(-100, area.path('locked'), 0);
  expect(thrownBy(() => child.sys.mountSetattr(fd, { clear: MOUNT_ATTR_RDONLY }))).toMatchObject({
    errno: EPERM,
    hint: expect.stringContaining('locked'),
  });
});

test('a recording shows the calls, also those that fail', () => {
  const recording = new RecordingExecutor((name) => (name === 'fsmount' ? -EPERM : undefined));
  const sys = new Syscalls(recording);
  const fd = sys.fsopen('proc');
  sys.fsconfigSet(fd, 'subset', 'pid');
  expect(() => sys.fsmount(fd, 0)).toThrow(expect.objectContaining({ errno: EPERM }));
  const tree = sys.openTree(3, '', OPEN_TREE_CLONE | AT_EMPTY_PATH);
  sys.moveMount(tree, 3);
  expect(recording.lines().map((line) => line.split('(')[0])).toEqual([
    'fsopen',
    'fsconfig',
    'fsmount',
    'open_tree',
    'move_mount',
  ]);
});
