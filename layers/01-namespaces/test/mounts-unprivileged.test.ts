/** What of mounts an ordinary user may do, in a user namespace of its own. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  AT_RECURSIVE,
  CLONE_NEWNS,
  CLONE_NEWUSER,
  type Descriptor,
  EPERM,
  listMounts,
  localSyscalls,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_RDONLY,
  mountOf,
  mountOverlay,
  newTmpfs,
  O_CREAT,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  OPEN_TREE_CLONE,
  pivotInto,
  RootDirectory,
  Stub,
  writeIdMaps,
} from '../src/index.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);
const USER = 54_321;

/** A process of the user in new user and mount namespaces, with a tmpfs to work in. */
class Ordinary implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'strata-mounts-'));
  readonly #outer = Stub.spawn({ title: 'strata: ordinary user' });
  readonly stub: Stub;

  constructor() {
    localSyscalls().fchownat({ dirfd: -100, path: this.directory, uid: USER, gid: USER });
    const { sys } = this.#outer;
    sys.setgroups([]);
    sys.setresgid(USER);
    sys.setresuid(USER);
    this.stub = this.#outer.clone({ flags: CLONE_NEWUSER | CLONE_NEWNS });
    const own = [{ inside: 0, outside: USER, count: 1 }];
    writeIdMaps(this.stub.pid, { uids: own, gids: own, setgroups: 'deny' });
    this.attach(newTmpfs(this.stub.sys, { mode: 0o755 }), this.directory);
  }

  attach(mount: Descriptor, path: string): void {
    const { sys } = this.stub;
    sys.moveMount(mount, sys.openat2(path, { flags: O_PATH | O_DIRECTORY }));
  }

  [Symbol.dispose](): void {
    this.stub[Symbol.dispose]();
    this.#outer[Symbol.dispose]();
    rmSync(this.directory, { recursive: true });
  }
}

rooted('file systems, overlays, copies of trees, a new root', () => {
  using user = new Ordinary();
  const { stub, directory } = user;
  const { sys } = stub;
  {
    using root = RootDirectory.at(directory, { sys });
    for (const name of ['lower/etc', 'upper', 'work', 'root']) sys.close(root.makeDirectory(name));
  }
  sys.close(sys.openat2(`${directory}/lower/etc/file`, { flags: O_CREAT | O_WRONLY, mode: 0o644 }));
  const overlay = {
    lowers: [`${directory}/lower`],
    upper: `${directory}/upper`,
    work: `${directory}/work`,
    // trusted.* attributes are the host's root's alone.
    parameters: [['userxattr']] as const,
  };
  mountOverlay(overlay, `${directory}/root`, sys);
  const tree = sys.openTree(-100, `${directory}/lower`, OPEN_TREE_CLONE | AT_RECURSIVE);
  sys.mountSetattr(tree, { set: MOUNT_ATTR_RDONLY }, AT_RECURSIVE);
  user.attach(tree, `${directory}/root/etc`);
  expect(mountOf(`${directory}/root/etc`, sys).options).toContain('ro');
  pivotInto(sys, sys.openat2(`${directory}/root`, { flags: O_PATH }));
  expect(listMounts({ sys }).map(({ mountPoint, type }) => `${mountPoint} ${type}`)).toEqual([
    '/ overlay',
    '/etc tmpfs',
  ]);
  expect(readdirSync(`/proc/${stub.pid}/root/etc/etc`)).toEqual(['file']);
});

rooted('what it may not: id maps on what is the host’s, others’ namespaces', () => {
  using user = new Ordinary();
  const { sys } = user.stub;
  const hosts = sys.openTree(-100, '/', OPEN_TREE_CLONE | AT_RECURSIVE);
  const usernsFd = sys.openat2('/proc/self/ns/user', { flags: O_RDONLY });
  expect(() => sys.mountSetattr(hosts, { set: MOUNT_ATTR_IDMAP, usernsFd })).toThrow(
    expect.objectContaining({ errno: EPERM, syscall: 'mount_setattr' }),
  );
  // What was mounted by somebody else cannot be taken apart.
  expect(() => sys.openTree(-100, '/', OPEN_TREE_CLONE)).toThrow(
    expect.objectContaining({ code: 'EINVAL', syscall: 'open_tree' }),
  );
  expect(() => sys.umount('/proc')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  expect(() => listMounts({ sys, pid: process.pid })).toThrow(
    expect.objectContaining({ code: 'EACCES' }),
  );
  expect(listMounts({ sys }).length).toBeGreaterThan(2);
});
