/**
 * Masks and write protection that end up elsewhere.
 *
 *   CVE-2025-31133       runc    a masked file gets the container's own /dev/null, which has been
 *                                swapped for a link (a host file is mounted instead) or removed (no
 *                                mask at all)
 *   CVE-2025-62161       youki   as before
 *   youki#3561           youki   a path is named twice, in the bind mount and in its remounting, and is
 *                                another one the second time: it stays writable
 *   GHSA-7ww5-4wqc-m92c  containerd, docker   /sys/devices/virtual/powercap is in sight: what the
 *                                processor consumes tells of other people's secrets
 *
 * Here the null device is the host's, looked at by its descriptor; each path is opened once, and its
 * mount has its attributes before it is attached. (Masks of procfs: procfs.test.ts.)
 */
import { mkdirSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AT_FDCWD, type FileStatus, S_IFMT } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import { defaultSpec } from '../../src/config/default-spec.ts';
import type { Spec } from '../../src/config/spec.ts';
import { hasBusybox } from '../bundle.ts';
import { explore } from './adversary.ts';
import { AttackTests, naively, swapNames } from './attack-tests.ts';

const tests = new AttackTests();
const MS_BIND = 0x1000;
const MS_REMOUNT_READONLY_BIND = 0x1021;
const NULL_DEVICE = 0x103;
const AT_SYMLINK_NOFOLLOW = 0x100;

const hiding =
  (masked: string[], readonly: string[] = []) =>
  (spec: Spec): void => {
    spec.root!.readonly = false;
    // The image's own /dev.
    spec.mounts = [];
    spec.linux!.maskedPaths = masked;
    spec.linux!.readonlyPaths = readonly;
  };

const isNull = ({ mode, rdevMajor, rdevMinor }: FileStatus): boolean =>
  (mode & S_IFMT) === 0o020000 && rdevMajor === 1 && rdevMinor === 3;

/** An image with a secret in it and a /dev/null that changes with a link to a file of the host. */
function hostileDev(): { swap(): void; reset(): void } {
  const { outside } = tests;
  writeFileSync(tests.inRoot('secret'), 'secret of the image');
  const dev = tests.inRoot('dev');
  const reset = (): void => {
    rmSync(dev, { recursive: true, force: true });
    mkdirSync(dev);
    naively((sys) => sys.mknodat(AT_FDCWD, join(dev, 'null'), 0o020666, NULL_DEVICE));
    symlinkSync(join(outside, 'file'), join(dev, 'link'));
  };
  reset();
  return { reset, swap: () => swapNames(dev, 'null', 'link') };
}

describe.skipIf(!hasBusybox)('masked files', () => {
  test('CVE-2025-31133, CVE-2025-62161: get the null device, whatever /dev/null is meanwhile', () => {
    const scene = hostileDev();
    let attempts = 0;
    const attempt = (): boolean =>
      tests.attempt(hiding(['/secret']), (pid) => {
        attempts++;
        return statSync(`/proc/${pid}/root/secret`).rdev !== NULL_DEVICE;
      });
    const found = explore({ ...scene, attempt });
    expect(found.breaks).toEqual([]);
    expect(attempts).toBeGreaterThan(found.moments);
  });

  test('CVE-2025-31133: and there is a mask where there is no /dev/null', () => {
    const { reset } = hostileDev();
    reset();
    const swap = (): void => unlinkSync(tests.inRoot('dev/null'));
    // It cannot be removed twice.
    const once = (): void => {
      if (statSync(tests.inRoot('dev/null'), { throwIfNoEntry: false })) swap();
    };
    const attempt = (): boolean =>
      tests.attempt(
        hiding(['/secret']),
        (pid) => statSync(`/proc/${pid}/root/secret`).rdev !== NULL_DEVICE,
      );
    const found = explore({ reset, swap: once, attempt });
    expect([found.breaks, found.refused]).toEqual([[], 0]);
  });

  test('CVE-2025-31133: the control, /dev/null of the image is looked at and mounted', () => {
    const attempt = (): boolean =>
      naively((sys) => {
        const source = tests.inRoot('dev/null');
        if (!isNull(sys.statx(AT_FDCWD, source, AT_SYMLINK_NOFOLLOW))) throw new Error('no device');
        sys.mount({ source, target: tests.inRoot('secret'), flags: MS_BIND });
        return !isNull(sys.statx(AT_FDCWD, tests.inRoot('secret')));
      });
    expect(explore({ ...hostileDev(), attempt }).breaks).not.toEqual([]);
  });
});

/** An image whose `/swap` changes with another directory. */
function twoDirectories(): { swap(): void; reset(): void } {
  const reset = (): void => {
    for (const name of ['swap', 'other']) {
      rmSync(tests.inRoot(name), { recursive: true, force: true });
      mkdirSync(tests.inRoot(name, 'kept'), { recursive: true });
    }
  };
  reset();
  return { reset, swap: () => swapNames(tests.bundle.rootfs, 'swap', 'other') };
}

/** Of the mounts of a process at `kept`, those that can be written to. */
const writable = (pid: number): string[] =>
  tests
    .mountsOf(pid)
    .filter(({ mountPoint, options }) => mountPoint.endsWith('/kept') && options.includes('rw'))
    .map(({ mountPoint }) => mountPoint);

describe.skipIf(!hasBusybox)('read-only and masked directories', () => {
  test.each([
    ['read-only', hiding([], ['/swap/kept'])],
    ['masked', hiding(['/swap/kept'])],
  ])('youki#3561: a path that is swapped at any moment is %s, or not mounted on', (_, change) => {
    const places = new Set<string>();
    const attempt = (): boolean =>
      tests.attempt(change, (pid) => {
        for (const { mountPoint } of tests.mountsOf(pid)) {
          if (mountPoint.endsWith('/kept')) places.add(mountPoint);
        }
        return writable(pid).length > 0;
      });
    expect(explore({ ...twoDirectories(), attempt }).breaks).toEqual([]);
    // What was renamed afterwards is still what was meant.
    expect([...places].sort()).toEqual(['/other/kept', '/swap/kept']);
  });

  test('youki#3561: the control, a bind mount that is remounted read-only by its name', () => {
    const attempt = (): boolean =>
      naively((sys, pid) => {
        const target = tests.inRoot('swap/kept');
        sys.mount({ source: target, target, flags: MS_BIND });
        sys.attempt('mount', null, target, null, MS_REMOUNT_READONLY_BIND, null);
        return writable(pid).length > 0;
      });
    expect(explore({ ...twoDirectories(), attempt }).breaks).not.toEqual([]);
  });
});

describe.skipIf(!hasBusybox)('the default masks', () => {
  test('GHSA-7ww5-4wqc-m92c: hide what the processor consumes', () => {
    // Few machines have it: a directory stands for /sys.
    const sys = tests.volume('sys');
    const energy = 'devices/virtual/powercap/intel-rapl:0/energy_uj';
    mkdirSync(join(sys, energy, '..'), { recursive: true });
    writeFileSync(join(sys, energy), '123456');
    const script = `cat /sys/${energy} || ls -A /sys/devices/virtual/powercap | wc -l`;
    const bind = (spec: Spec): void => {
      spec.mounts = [{ destination: '/sys', type: 'bind', source: sys, options: ['bind', 'ro'] }];
    };
    expect(tests.shell(script, bind)).toMatch(/No such file or directory\n0\n$/);
    expect(defaultSpec().linux!.maskedPaths).toContain('/sys/devices/virtual/powercap');
  });

  test('GHSA-7ww5-4wqc-m92c: the control, without the masks it is in sight', () => {
    const sys = tests.volume('sys');
    writeFileSync(join(sys, 'energy'), '123456');
    const bind = (spec: Spec): void => {
      spec.mounts = [{ destination: '/sys', type: 'bind', source: sys, options: ['bind', 'ro'] }];
      spec.linux!.maskedPaths = [];
    };
    expect(tests.shell('cat /sys/energy', bind)).toBe('123456');
  });
});
