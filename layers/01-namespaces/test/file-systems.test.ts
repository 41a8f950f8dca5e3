/** New file systems, overlays in all their forms, and a new root, on the real kernel. */
import { existsSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  AT_EMPTY_PATH,
  detachedProc,
  EINVAL,
  ENODEV,
  ENOENT,
  FileSystemError,
  listMounts,
  localSyscalls,
  lowerParameters,
  MOUNT_ATTR_RDONLY,
  mountOf,
  mountOverlay,
  newFileSystem,
  newTmpfs,
  O_CREAT,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  OPEN_TREE_CLONE,
  type OverlayForm,
  openOverlay,
  PROPAGATION_WORDS,
  pivotInto,
  RootDirectory,
  setPropagation,
  unmountAll,
} from '../src/index.ts';
import { MountNamespace } from './mount-namespace.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);

function write(area: MountNamespace, name: string, text = name): void {
  const fd = area.sys.openat2(area.path(name), { flags: O_CREAT | O_WRONLY, mode: 0o644 });
  area.sys.write(fd, text);
  area.sys.close(fd);
}

const names = (area: MountNamespace, name: string): string[] =>
  readdirSync(area.seenFromHost(name)).sort();
const openIn = (area: MountNamespace): number => readdirSync(`/proc/${area.pid}/fd`).length;

rooted('a tmpfs with its limits', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeDirectories('small');
  const before = openIn(area);
  const options = { source: 'mine', sizeBytes: 65_536, inodes: 5, mode: 0o700, uid: 7, gid: 8 };
  const fd = sys.settle(newTmpfs(sys, { ...options, attributes: MOUNT_ATTR_RDONLY }));
  sys.moveMount(fd, sys.openat2(area.path('small'), { flags: O_PATH }));
  expect(mountOf(area.path('small'), sys)).toMatchObject({
    type: 'tmpfs',
    source: 'mine',
    options: ['ro', 'relatime'],
    superOptions: expect.arrayContaining(['size=64k', 'nr_inodes=5', 'mode=700', 'uid=7', 'gid=8']),
  });
  expect(openIn(area)).toBe(before + 2);
});

rooted('what cannot be is said by the file system, and leaves no descriptor', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const before = openIn(area);
  expect(() => newTmpfs(sys, { mode: -1 })).toThrow(FileSystemError);
  expect(() => newFileSystem(sys, { type: 'strata' })).toThrow(
    expect.objectContaining({ errno: ENODEV }),
  );
  const parameters = [['size', '9'.repeat(256)]] as const;
  expect(() => newFileSystem(sys, { type: 'tmpfs', parameters })).toThrow(
    /size is longer than 255/,
  );
  expect(openIn(area)).toBe(before);
});

rooted('procfs of processes only', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeDirectories('proc');
  const fd = detachedProc(sys, { onlyPids: true, hidePid: 'invisible', gid: 5 });
  sys.moveMount(fd, sys.openat2(area.path('proc'), { flags: O_PATH }));
  expect(mountOf(area.path('proc'), sys).superOptions).toEqual(
    expect.arrayContaining(['gid=5', 'hidepid=invisible', 'subset=pid']),
  );
  expect(() => sys.openat2(area.path('proc/sys'), { flags: O_PATH })).toThrow(
    expect.objectContaining({ errno: ENOENT }),
  );
  expect(sys.readlinkat(-100, area.path('proc/self'))).toBe(String(area.pid));
});

const FORMS: OverlayForm[] = ['appended', 'joined', 'classic'];
// All that has a meaning in a parameter of overlayfs, in a list, or in mountinfo.
const HOSTILE = ['plain', 'a:b', 'a\\b', 'a\\:b', 'a,b', 'a b', 'a\\,b', 'line\nbreak', '::', '\\'];

for (const form of FORMS) {
  rooted(`an overlay of directories with awkward names, ${form}`, () => {
    using area = new MountNamespace();
    const { sys } = area;
    area.makeDirectories('merged');
    HOSTILE.forEach((name, index) => {
      area.makeDirectories(`${index}`, `${index}/low${name}`, `${index}/other`);
      area.makeDirectories(`${index}/up${name}`, `${index}/work${name}`);
      write(area, `${index}/low${name}/same`, 'top');
      write(area, `${index}/other/same`, 'bottom');
      write(area, `${index}/other/below`);
      const overlay = {
        lowers: [area.path(`${index}/low${name}`), area.path(`${index}/other`)],
        upper: area.path(`${index}/up${name}`),
        work: area.path(`${index}/work${name}`),
      };
      const before = openIn(area);
      mountOverlay(overlay, area.path('merged'), sys, form);
      expect(openIn(area), name).toBe(before);
      write(area, 'merged/new');
      const fd = sys.openat2(area.path('merged/same'), { flags: O_RDONLY });
      const bytes = new Uint8Array(10);
      expect(new TextDecoder().decode(bytes.subarray(0, sys.read(fd, bytes))), name).toBe('top');
      sys.close(fd);
      expect(names(area, 'merged')).toEqual(['below', 'new', 'same']);
      unmountAll(area.path('merged'), sys);
      expect(names(area, `${index}/up${name}`)).toEqual(['new']);
    });
  });

  rooted(`more layers with longer names than fit into one parameter, ${form}`, () => {
    using area = new MountNamespace();
    const { sys } = area;
    area.makeDirectories('merged');
    const long = 'x'.repeat(200);
    area.makeDirectories(long, `${long}/${long}`);
    const lowers = Array.from({ length: 40 }, (_, index) => `${long}/${long}/${index}`);
    for (const [index, lower] of lowers.entries()) {
      area.makeDirectories(lower);
      write(area, `${lower}/f${index}`);
    }
    const overlay = { lowers: lowers.map((lower) => area.path(lower)) };
    const before = openIn(area);
    if (form === 'joined') {
      expect(() => mountOverlay(overlay, area.path('merged'), sys, form)).toThrow(
        expect.objectContaining({ code: 'TOO_MANY_LAYERS' }),
      );
      // Ten do fit, as names of descriptors.
      overlay.lowers.length = 10;
    }
    mountOverlay(overlay, area.path('merged'), sys, form);
    expect(names(area, 'merged')).toHaveLength(overlay.lowers.length);
    expect(openIn(area)).toBe(before);
  });
}

rooted('a kernel that does not know lowerdir+: the next form, without being told', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeDirectories('one', 'two', 'merged');
  write(area, 'one/a');
  write(area, 'two/b');
  const asked: unknown[] = [];
  const set = sys.fsconfigSet.bind(sys);
  // As Linux 6.6 answers.
  sys.fsconfigSet = (fd, key, value) => {
    asked.push(key);
    if (key === 'lowerdir+') throw sys.failure('fsconfig', EINVAL, [1, key, value ?? null]);
    set(fd, key, value);
  };
  const overlay = { lowers: [area.path('one'), area.path('two')] };
  mountOverlay(overlay, area.path('merged'), sys);
  expect(asked).toContain('lowerdir');
  expect(names(area, 'merged')).toEqual(['a', 'b']);
  unmountAll(area.path('merged'), sys);
  // And where the names are too many for that, mount(2).
  const many = Array.from({ length: 200 }, (_, index) => `layer${index}`);
  area.makeDirectories(...many);
  mountOverlay({ lowers: many.map((name) => area.path(name)) }, area.path('merged'), sys);
  expect(mountOf(area.path('merged'), sys).type).toBe('overlay');
});

rooted('what is wrong with an overlay, in its own words', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeDirectories('one');
  const before = openIn(area);
  expect(() => openOverlay({ lowers: [area.path('missing')] }, sys)).toThrow(
    expect.objectContaining({ errno: ENOENT }),
  );
  expect(() =>
    openOverlay({ lowers: [area.path('one')], parameters: [['nonsense', '1']] }, sys),
  ).toThrow(
    expect.objectContaining({
      name: 'FileSystemError',
      message: expect.stringContaining('nonsense'),
    }),
  );
  expect(openIn(area)).toBe(before);
});

test('a lowerdir as mount(8) takes it', () => {
  const keys = (lowerdir: string): string[] =>
    lowerParameters(lowerdir).map(([key, value]) => `${key}=${value}`);
  expect(keys('/a:/b')).toEqual(['lowerdir+=/a', 'lowerdir+=/b']);
  expect(keys('/a\\:b:/c\\\\d')).toEqual(['lowerdir+=/a:b', 'lowerdir+=/c\\d']);
  expect(keys('/a:/b::/data::/more')).toEqual([
    'lowerdir+=/a',
    'lowerdir+=/b',
    'datadir+=/data',
    'datadir+=/more',
  ]);
  expect(keys('/a\\::/b')).toEqual(['lowerdir+=/a:', 'lowerdir+=/b']);
});

rooted('propagation by descriptor, of one mount or all below', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const top = area.makeTmpfs('top');
  const inner = area.makeTmpfs('top/inner');
  const fd = sys.openat2(top, { flags: O_PATH });
  setPropagation(sys, fd, PROPAGATION_WORDS.rshared!);
  expect(mountOf(inner, sys).propagation.peerGroup).toBeGreaterThan(0);
  setPropagation(sys, fd, PROPAGATION_WORDS.unbindable!);
  expect(mountOf(top, sys).propagation).toEqual({ unbindable: true });
  expect(() => sys.openTree(-100, top, OPEN_TREE_CLONE)).toThrow(
    expect.objectContaining({ errno: EINVAL }),
  );
  expect(mountOf(inner, sys).propagation.peerGroup).toBeGreaterThan(0);
  setPropagation(sys, fd, PROPAGATION_WORDS.rprivate!);
  expect([mountOf(top, sys).propagation, mountOf(inner, sys).propagation]).toEqual([{}, {}]);
  sys.mkdirat(-100, `${top}/no-mount`, 0o755);
  const below = sys.openat2(`${top}/no-mount`, { flags: O_PATH });
  expect(() => setPropagation(sys, below, PROPAGATION_WORDS.shared!)).toThrow(
    expect.objectContaining({ errno: EINVAL, syscall: 'mount_setattr' }),
  );
});

rooted('a new root, though its path leads elsewhere by now', () => {
  using area = new MountNamespace();
  const { sys } = area;
  const path = area.makeTmpfs('root');
  area.makeTmpfs('decoy');
  write(area, 'root/real');
  write(area, 'decoy/fake');
  const root = sys.openat2(path, { flags: O_PATH | O_DIRECTORY });
  // Between looking at it and making it the root, somebody covers the place.
  const decoy = sys.openTree(-100, area.path('decoy'), OPEN_TREE_CLONE);
  sys.moveMount(decoy, sys.openat2(path, { flags: O_PATH }));
  pivotInto(sys, root);
  expect(readdirSync(`/proc/${area.pid}/root/`)).toEqual(['real']);
  // Of all that was mounted, the root and what covered it are left.
  const left = listMounts({ pid: area.pid }).map(({ source, mountPoint }) => [source, mountPoint]);
  expect(left).toEqual([
    ['root', '/'],
    ['decoy', '/'],
  ]);
  expect(existsSync(`/proc/${area.pid}/root/../../etc`)).toBe(false);
  expect(() => pivotInto(sys, sys.openat2('/', { flags: O_PATH }))).toThrow(
    expect.objectContaining({ syscall: 'pivot_root', code: 'EBUSY' }),
  );
});

rooted('a mount is placed through a confined path', () => {
  using area = new MountNamespace();
  const { sys } = area;
  area.makeTmpfs('root');
  sys.symlinkat('/etc', -100, area.path('root/link'));
  using root = RootDirectory.at(area.path('root'), { sys });
  const place = sys.settle(root.makeDirectory('link/strata'));
  sys.moveMount(sys.settle(newTmpfs(sys)), place);
  expect(mountOf(area.path('root/etc/strata'), sys).mountPoint).toBe(area.path('root/etc/strata'));
  expect(mountOf(place, sys).mountPoint).toBe(area.path('root'));
  expect(sys.statx(place, '', AT_EMPTY_PATH).mode & 0o777).toBe(0o755);
  expect(localSyscalls().attempt('faccessat2', -100, '/etc/strata', 0, 0)).toBe(-ENOENT);
});
