/**
 * Mounts and mount points that a link sends out of the root.
 *
 *   CVE-2019-18837  crun   a destination in the image is a symbolic link, and is followed to the host
 *   CVE-2021-30465  runc   the destination is checked, then swapped for a link by a container that
 *                          shares the volume, then mounted on
 *   CVE-2024-45310  runc   the same race, in the making of the mount point: empty files and
 *                          directories on the host
 *   CVE-2025-24965  crun   a file that the runtime itself writes into the root goes by way of a link
 *
 * Here a destination is opened once, confined to the descriptor of the root (openat2, RESOLVE_IN_ROOT);
 * what was opened is what is mounted on, and what is missing is made name by name beneath its parent.
 * Nothing is written into the root by name.
 */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AT_FDCWD, type FileStatus, S_IFLNK, S_IFMT, type Syscalls } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { Mount, Spec } from '../../src/config/spec.ts';
import { hasBusybox } from '../bundle.ts';
import { explore, Racer } from './adversary.ts';
import { AttackTests, naively, swapNames } from './attack-tests.ts';

const tests = new AttackTests();
const AT_SYMLINK_NOFOLLOW = 0x100;

/** A spec with the volume at /volume and one more mount. */
const mounting =
  (...mounts: Mount[]) =>
  (spec: Spec): void => {
    spec.root!.readonly = false;
    // What is not about this attack only takes time.
    spec.mounts = mounts;
    spec.linux!.maskedPaths = [];
    spec.linux!.readonlyPaths = [];
  };

const bind = (source: string, destination: string): Mount => ({
  ...{ type: 'bind', source, destination, options: ['bind'] },
});

const tmpfs = (destination: string): Mount => ({
  ...{ type: 'tmpfs', source: 'attack', destination, options: ['mode=755'] },
});

const isLink = ({ mode }: FileStatus): boolean => (mode & S_IFMT) === S_IFLNK;

/** A volume in which `swap` is a directory and `link` leads to the host. */
function hostileVolume(): { volume: string; outside: string; swap(): void; reset(): void } {
  const { outside } = tests;
  const volume = tests.volume();
  const reset = (): void => {
    for (const name of ['swap', 'link'])
      rmSync(join(volume, name), { recursive: true, force: true });
    mkdirSync(join(volume, 'swap'));
    symlinkSync(join(outside, 'directory'), join(volume, 'link'));
  };
  reset();
  return { volume, outside, reset, swap: () => swapNames(volume, 'swap', 'link') };
}

/** As runc did until 1.0.0-rc94: the path is looked at, and then mounted on by its name. */
function checkThenMount(sys: Syscalls, place: string): void {
  if (isLink(sys.statx(AT_FDCWD, place, AT_SYMLINK_NOFOLLOW))) throw new Error('a link');
  sys.mount({ source: 'attack', target: place, type: 'tmpfs' });
}

describe.skipIf(!hasBusybox)('mount destinations', () => {
  test('CVE-2019-18837: a destination that is a link to the host is looked for in the root', () => {
    const { outside } = tests;
    const before = tests.snapshot(outside);
    symlinkSync(outside, tests.inRoot('link'));
    const change = mounting(tmpfs('/link/directory'), tmpfs('/link/new/directory'));
    const places = tests.attempt(change, (pid) =>
      tests.mountsOf(pid).map(({ mountPoint }) => mountPoint),
    );
    // The container has directories of its own by these names.
    expect(places).toEqual(
      expect.arrayContaining([`${outside}/directory`, `${outside}/new/directory`]),
    );
    expect(existsSync(tests.inRoot(outside, 'new/directory'))).toBe(true);
    expect(tests.snapshot(outside)).toEqual(before);
  });

  test('CVE-2021-30465: a destination swapped for a link at any moment is mounted on in the root', () => {
    const { volume, outside, ...scene } = hostileVolume();
    const before = tests.snapshot(outside);
    const seen = new Set<string>();
    const change = mounting(bind(volume, '/volume'), tmpfs('/volume/swap'));
    const found = explore({
      ...scene,
      attempt: () =>
        tests.attempt(change, (pid) => {
          const mount = tests.mountsOf(pid).find(({ source }) => source === 'attack')!;
          seen.add(mount.mountPoint);
          return tests.snapshot(outside).join() !== before.join();
        }),
    });
    expect(found.breaks).toEqual([]);
    // The attacker was heard: it was mounted where the link led, in the root; and a directory that
    // is renamed takes what is mounted on it along.
    expect([...seen].sort()).toEqual([`${outside}/directory`, '/volume/link', '/volume/swap']);
    expect(found.moments).toBeGreaterThan(20);
  });

  test('CVE-2021-30465: the control, a path that is checked and then mounted on', () => {
    const { volume, outside, ...scene } = hostileVolume();
    const found = explore({
      ...scene,
      attempt: () =>
        naively((sys, pid) => {
          checkThenMount(sys, join(volume, 'swap'));
          const places = tests.mountsOf(pid).map(({ mountPoint }) => mountPoint);
          return places.includes(join(outside, 'directory'));
        }),
    });
    expect(found.breaks).toContain('as it was, after statx (1)');
  });

  test('CVE-2024-45310: mount points are made in the root, whatever is swapped when', () => {
    const { volume, outside, ...scene } = hostileVolume();
    const before = tests.snapshot(outside);
    const file = join(tests.bundle.directory, 'a-file');
    writeFileSync(file, '');
    const change = mounting(
      bind(volume, '/volume'),
      bind(file, '/volume/swap/made/file'),
      tmpfs('/volume/swap/made/directory'),
    );
    const isBroken = (): boolean => tests.snapshot(outside).join() !== before.join();
    const attempt = (): boolean => tests.attempt(change, isBroken) || isBroken();
    const found = explore({ ...scene, attempt });
    expect(found.breaks).toEqual([]);
    // What the link led to was made in the root.
    expect(existsSync(tests.inRoot(outside, 'directory/made/file'))).toBe(true);
  });

  test('CVE-2024-45310: and so it is while another process swaps them all the time', () => {
    const { volume, outside } = hostileVolume();
    const before = tests.snapshot(outside);
    const change = mounting(bind(volume, '/volume'), tmpfs('/volume/swap/made/directory'));
    using racer = new Racer(volume, ['swap', 'link']);
    const seen = new Set<string>();
    for (let round = 0; round < 10 || (round < 200 && seen.size < 2); round++) {
      racer.goOn();
      try {
        const place = tests.attempt(
          change,
          (pid) => tests.mountsOf(pid).find(({ source }) => source === 'attack')!.mountPoint,
        );
        seen.add(place.startsWith('/volume/') ? 'direct' : 'by the link');
      } catch (error) {
        // A directory that was there when its parent was opened is not any more.
        expect(String(error)).toMatch(/ENOENT|ENOTDIR|ELOOP|EAGAIN/);
      }
    }
    expect([...seen].sort()).toEqual(['by the link', 'direct']);
    expect(tests.snapshot(outside)).toEqual(before);
  });

  test('CVE-2024-45310: the control, a mount point made by its path', () => {
    const { volume, outside, ...scene } = hostileVolume();
    const before = tests.snapshot(outside);
    const found = explore({
      ...scene,
      attempt: () =>
        naively((sys) => {
          const place = join(volume, 'swap');
          if (isLink(sys.statx(AT_FDCWD, place, AT_SYMLINK_NOFOLLOW))) throw new Error('a link');
          sys.attempt('mkdirat', AT_FDCWD, join(place, 'made'), 0o755);
          return tests.snapshot(outside).join() !== before.join();
        }),
    });
    expect(found.breaks).not.toEqual([]);
  });

  test('CVE-2025-24965: nothing that is in the root is written to, whatever it is called', () => {
    const { outside } = tests;
    const before = tests.snapshot(outside);
    const names = [
      '.krun_config.json',
      'etc/hostname',
      'etc/hosts',
      'etc/resolv.conf',
      '.dockerenv',
    ];
    for (const name of names) symlinkSync(join(outside, 'file'), tests.inRoot(name));
    const root = tests.snapshot(tests.inRoot('etc'));
    tests.attempt(
      (spec) => {
        spec.hostname = 'attacked';
        spec.annotations = { 'run.oci.handler': 'krun' };
      },
      () => {},
    );
    expect(tests.snapshot(outside)).toEqual(before);
    expect(tests.snapshot(tests.inRoot('etc'))).toEqual(root);
  });
});
