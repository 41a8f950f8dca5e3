/** Id-mapped mounts on the real kernel: who owns what, on which side. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  AT_SYMLINK_NOFOLLOW,
  CLONE_NEWUSER,
  EINVAL,
  EPERM,
  errnoOf,
  idMappedTree,
  listMounts,
  MOUNT_ATTR_IDMAP,
  mountOf,
  O_CREAT,
  O_PATH,
  O_WRONLY,
  OPEN_TREE_CLONE,
  userNamespaceWith,
} from '../src/index.ts';
import { MountNamespace } from './mount-namespace.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);
const BASE = 100_000;
const maps = {
  uids: [{ inside: 0, outside: BASE, count: 1000 }],
  gids: [{ inside: 0, outside: BASE * 2, count: 1000 }],
};
/** What a user of no range is shown as. */
const NOBODY = 65_534;

/** tmpfs takes id maps since Linux 6.3, the others of this test before. */
function mapped(area: MountNamespace, name: string, recursive = false): number | undefined {
  try {
    return idMappedTree(area.path(name), { maps, recursive, sys: area.sys });
  } catch (error) {
    if (errnoOf(error) === EINVAL) return undefined;
    throw error;
  }
}

function owner(area: MountNamespace, name: string): [number, number] {
  const { uid, gid } = area.sys.statx(-100, area.path(name), AT_SYMLINK_NOFOLLOW);
  return [uid, gid];
}

function make(area: MountNamespace, name: string, ids: { uid: number; gid: number }): void {
  const fd = area.sys.openat2(area.path(name), { flags: O_CREAT | O_WRONLY, mode: 0o666 });
  area.sys.fchown(fd, ids);
  area.sys.close(fd);
}

const openIn = (area: MountNamespace): number => readdirSync(`/proc/${area.pid}/fd`).length;
const attach = (area: MountNamespace, fd: number, name: string): void =>
  area.sys.moveMount(fd, area.sys.openat2(area.path(name), { flags: O_PATH }));

rooted('owners are shifted there and back, and those of no range are nobody', (context) => {
  using area = new MountNamespace();
  area.makeTmpfs('disk');
  area.makeDirectories('shown');
  make(area, 'disk/root', { uid: 0, gid: 0 });
  make(area, 'disk/user', { uid: 7, gid: 8 });
  make(area, 'disk/beyond', { uid: 5000, gid: 5000 });
  const before = openIn(area);
  const tree = mapped(area, 'disk');
  if (tree === undefined) return context.skip('tmpfs takes id maps since Linux 6.3');
  expect(openIn(area)).toBe(before + 1);
  attach(area, tree, 'shown');
  expect(owner(area, 'shown/root')).toEqual([BASE, BASE * 2]);
  expect(owner(area, 'shown/user')).toEqual([BASE + 7, BASE * 2 + 8]);
  expect(owner(area, 'shown/beyond')).toEqual([NOBODY, NOBODY]);
  expect(owner(area, 'disk/user')).toEqual([7, 8]);
  // What somebody of the range makes through the mount arrives on the disk as the other.
  using child = area.stub.clone({ flags: 0 });
  child.sys.setresgid(BASE * 2 + 43);
  child.sys.setresuid(BASE + 42);
  child.sys.openat2(area.path('shown/new'), { flags: O_CREAT | O_WRONLY, mode: 0o600 });
  expect(owner(area, 'disk/new')).toEqual([42, 43]);
  // The disk could not hold who is in no range: neither as an owner that is given, nor as a maker.
  for (const [name, call] of [
    ['user', 'fchown'],
    ['mine', 'openat2'],
  ] as const) {
    expect(() => make(area, `shown/${name}`, { uid: 7, gid: 8 })).toThrow(
      expect.objectContaining({ code: 'EOVERFLOW', syscall: call }),
    );
  }
});

rooted('the list of mounts says so', (context) => {
  using area = new MountNamespace();
  area.makeTmpfs('disk');
  area.makeDirectories('shown');
  const tree = mapped(area, 'disk');
  if (tree === undefined) return context.skip('tmpfs takes id maps since Linux 6.3');
  attach(area, tree, 'shown');
  const { sys } = area;
  const entry = mountOf(area.path('shown'), sys);
  expect(entry.options).toContain('idmapped');
  // Before Linux 6.15 statmount does not say which.
  if (entry.uidMap) {
    expect([entry.uidMap, entry.gidMap]).toEqual([[`0 ${BASE} 1000`], [`0 ${BASE * 2} 1000`]]);
  }
  const fromFile = listMounts({ sys, source: 'mountinfo' });
  expect(fromFile.find(({ mountPoint }) => mountPoint === area.path('shown'))!.options).toContain(
    'idmapped',
  );
});

rooted('a tree with what is mounted below it, or without', (context) => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeTmpfs('disk');
  area.makeTmpfs('disk/below');
  area.makeDirectories('whole', 'alone');
  make(area, 'disk/below/file', { uid: 1, gid: 1 });
  const whole = mapped(area, 'disk', true);
  if (whole === undefined) return context.skip('tmpfs takes id maps since Linux 6.3');
  attach(area, whole, 'whole');
  attach(area, mapped(area, 'disk')!, 'alone');
  expect(owner(area, 'whole/below/file')).toEqual([BASE + 1, BASE * 2 + 1]);
  expect(readdirSync(area.seenFromHost('alone/below'))).toEqual([]);
  // By a descriptor of a directory in the middle of a mount.
  sys.mkdirat(-100, area.path('disk/part'), 0o755);
  const part = sys.openat2(area.path('disk/part'), { flags: O_PATH });
  const tree = idMappedTree(part, { maps, sys });
  expect(sys.statx(tree, '', AT_EMPTY_PATH).uid).toBe(BASE);
});

rooted('a mount has one map; another is given in the call that copies it', (context) => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeTmpfs('disk');
  area.makeDirectories('shown');
  const tree = mapped(area, 'disk');
  if (tree === undefined) return context.skip('tmpfs takes id maps since Linux 6.3');
  attach(area, tree, 'shown');
  const before = openIn(area);
  expect(() => idMappedTree(area.path('shown'), { maps, sys })).toThrow(
    expect.objectContaining({ errno: EPERM, hint: expect.stringContaining('id-mapped already') }),
  );
  expect(openIn(area)).toBe(before);
  const other = { uids: [{ inside: 0, outside: 7, count: 1 }], gids: maps.gids };
  const usernsFd = userNamespaceWith(other, sys);
  const attributes = { set: MOUNT_ATTR_IDMAP, usernsFd };
  if (sys.attempt('open_tree_attr', -1, null, 0, null, 0) === -38) {
    return context.skip('open_tree_attr needs Linux 6.15');
  }
  const flags = OPEN_TREE_CLONE | AT_RECURSIVE;
  const again = sys.openTreeAttr(-100, area.path('shown'), flags, attributes);
  expect(sys.statx(again, '', AT_EMPTY_PATH).uid).toBe(7);
});

rooted('a file system without id maps, maps that are none, no privilege', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeDirectories('proc');
  sys.mount({ source: 'proc', target: area.path('proc'), type: 'proc' });
  const before = openIn(area);
  expect(() => idMappedTree(area.path('proc'), { maps, sys })).toThrow(
    expect.objectContaining({ errno: EINVAL, syscall: 'mount_setattr' }),
  );
  expect(() => idMappedTree(area.path('missing'), { maps, sys })).toThrow(
    expect.objectContaining({ code: 'ENOENT', syscall: 'open_tree' }),
  );
  const overlapping = [
    { inside: 0, outside: 1, count: 2 },
    { inside: 1, outside: 9, count: 1 },
  ];
  for (const uids of [[], overlapping, [{ inside: -1, outside: 0, count: 1 }]]) {
    expect(() => idMappedTree(area.path('proc'), { maps: { ...maps, uids }, sys })).toThrow(
      expect.objectContaining({ code: 'INVALID_ID_MAP' }),
    );
  }
  expect(openIn(area)).toBe(before);
  area.makeTmpfs('disk');
  using child = area.stub.clone({ flags: CLONE_NEWUSER });
  expect(() => idMappedTree(area.path('disk'), { maps, sys: child.sys })).toThrow(
    // The process whose namespace it would be is not its own to look into.
    expect.objectContaining({ code: 'EACCES', syscall: 'openat2' }),
  );
});
