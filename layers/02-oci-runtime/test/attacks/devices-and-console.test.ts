/**
 * An image that has something else where the runtime makes devices and terminals.
 *
 *   CVE-2025-52565  runc, youki   /dev/console gets a bind mount of /dev/pts/N, by a name that is
 *                                 swapped for a link: a host file is mounted instead
 *   CVE-2026-41579  runc          /dev is a link to a directory of the host: `ptmx` is removed there
 *                                 and links are made
 *   CVE-2026-47766  crun          as before
 *   CVE-2026-88264  crun          /dev/console is a link: an empty file on the host
 *   CVE-2026-88265  crun          /dev/null is a link: a host file becomes the standard streams
 *
 * Here all that is made in /dev is made beneath a descriptor that was opened in the root, the slave of
 * a terminal is opened from its master (TIOCGPTPEER), and the master from a file system that is looked
 * at first. In a user namespace a device is the host's of the same number, or none.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { AT_FDCWD, localSyscalls } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { Mount, Spec } from '../../src/config/spec.ts';
import { hasBusybox } from '../bundle.ts';
import { inUserNamespace } from '../container-tests.ts';
import { explore } from './adversary.ts';
import { AttackTests, naively, swapNames } from './attack-tests.ts';

const tests = new AttackTests();
const MS_BIND = 0x1000;
const LINKS = ['fd', 'stdin', 'stdout', 'stderr', 'core', 'ptmx'];
const DEVPTS: Mount = {
  ...{ destination: '/dev/pts', type: 'devpts', source: 'devpts' },
  options: ['newinstance', 'ptmxmode=0666', 'mode=0620'],
};

/** The image's own /dev, which no engine leaves to it, and perhaps a devpts. */
const bareDev =
  (mounts: Mount[] = [], terminal = false) =>
  (spec: Spec): void => {
    spec.root!.readonly = false;
    spec.process!.terminal = terminal;
    spec.mounts = mounts;
    spec.linux!.maskedPaths = [];
    spec.linux!.readonlyPaths = [];
  };

/** As `attempt`, for a container whose terminal we get. */
function withTerminal(change: (spec: Spec) => void, look: (pid: number) => boolean): boolean {
  const sys = localSyscalls();
  const spec = tests.bundle.spec(['true'], change);
  const { directory } = tests.bundle;
  try {
    const { pid, consoleMaster } = tests.runtime.create({ id: 'attempt', bundle: directory, spec });
    sys.close(consoleMaster!);
    return look(pid);
  } finally {
    tests.runtime.delete('attempt', { force: true });
  }
}

describe.skipIf(!hasBusybox)('/dev of the image', () => {
  /** The host's directory that /dev leads to, with a file that runc removed. */
  function linkedDev(): { host: string; before: string[]; swap(): void; reset(): void } {
    const host = join(tests.outside, 'directory');
    writeFileSync(join(host, 'ptmx'), 'of the host');
    const before = tests.snapshot(host);
    const reset = (): void => {
      for (const name of ['dev', 'link'])
        rmSync(tests.inRoot(name), { recursive: true, force: true });
      mkdirSync(tests.inRoot('dev'));
      symlinkSync(host, tests.inRoot('link'));
    };
    reset();
    return { host, before, reset, swap: () => swapNames(tests.bundle.rootfs, 'dev', 'link') };
  }

  test('CVE-2026-41579, CVE-2026-47766: a link to the host, at any moment, changes nothing there', () => {
    const { host, before, swap, reset } = linkedDev();
    const isBroken = (): boolean => tests.snapshot(host).join() !== before.join();
    const attempt = (): boolean => tests.attempt(bareDev(), isBroken) || isBroken();
    expect(explore({ swap, reset, attempt }).breaks).toEqual([]);
    // Where the link leads in the root, there they are.
    const made = readdirSync(tests.inRoot(host));
    expect(made).toEqual(expect.arrayContaining(['null', ...LINKS]));
  });

  test('CVE-2026-41579: the control, links made by their paths', () => {
    const { host, before, reset, swap } = linkedDev();
    const attempt = (): boolean =>
      naively((sys) => {
        const isLink =
          (sys.statx(AT_FDCWD, tests.inRoot('dev'), 0x100).mode & 0o170000) === 0o120000;
        if (isLink) throw new Error('a link');
        sys.attempt('unlinkat', AT_FDCWD, tests.inRoot('dev/ptmx'), 0);
        sys.attempt('symlinkat', 'pts/ptmx', AT_FDCWD, tests.inRoot('dev/ptmx'));
        return tests.snapshot(host).join() !== before.join();
      });
    expect(explore({ swap, reset, attempt }).breaks).not.toEqual([]);
  });

  test('CVE-2026-88264: a console that is a link makes no file on the host', () => {
    const host = join(tests.outside, 'directory');
    const before = tests.snapshot(host);
    symlinkSync(join(host, 'made'), tests.inRoot('dev/console'));
    const change = bareDev([DEVPTS], true);
    expect(() => withTerminal(change, () => true)).toThrow(/ELOOP/);
    expect(tests.snapshot(host)).toEqual(before);
  });

  test('CVE-2026-88265: standard streams are what the caller gave, not what /dev/null leads to', () => {
    const secret = join(tests.outside, 'file');
    symlinkSync(secret, tests.inRoot('dev/null'));
    const before = tests.snapshot(tests.outside);
    const script = 'cat <&0; echo into-it; readlink /dev/null';
    expect(tests.shell(script, bareDev())).toBe(`into-it\n${secret}\n`);
    expect(tests.snapshot(tests.outside)).toEqual(before);
  });

  test('in a user namespace a device of the host has to be the very one', () => {
    const device = { path: '/dev/net/strata-random', type: 'c', major: 1, minor: 8 };
    const change =
      (path: string, minor = 8) =>
      (spec: Spec): void => {
        bareDev()(spec);
        inUserNamespace(spec);
        chmodSync(tests.bundle.directory, 0o755);
        localSyscalls().call('fchownat', AT_FDCWD, tests.bundle.rootfs, 100_000, 100_000, 0);
        const dev = tests.inRoot('dev');
        localSyscalls().call('fchownat', AT_FDCWD, dev, 100_000, 100_000, 0);
        spec.linux!.devices = [{ ...device, path, minor } as never];
      };
    // /dev/full is 1:7, and there is no /dev/net/strata-random.
    const isRandom = (pid: number) => statSync(`/proc/${pid}/root/dev/random`).rdev;
    expect(() => tests.attempt(change('/dev/full'), isRandom)).toThrow(
      /linux\.devices\[0\]: \/dev\/full of the host is another device/,
    );
    // By its last name alone the node of the host would have been /dev/null.
    expect(() => tests.attempt(change('/dev/net/null'), isRandom)).toThrow(/ENOENT/);
    expect(tests.attempt(change('/dev/random'), isRandom)).toBe(0x108);
  });
});

describe.skipIf(!hasBusybox)('the terminal', () => {
  /** An image in which /dev/pts changes with a directory whose entries lead to the host. */
  function hostilePts(): { swap(): void; reset(): void } {
    const secret = join(tests.outside, 'file');
    const dev = tests.inRoot('dev');
    const reset = (): void => {
      rmSync(dev, { recursive: true, force: true });
      for (const name of ['pts', 'other']) mkdirSync(join(dev, name), { recursive: true });
      for (const name of ['ptmx', '0', '1', '2']) symlinkSync(secret, join(dev, 'other', name));
    };
    reset();
    return { reset, swap: () => swapNames(dev, 'pts', 'other') };
  }

  test('CVE-2025-52565: the console is the terminal, whatever /dev/pts is meanwhile', () => {
    let attempts = 0;
    const attempt = (): boolean =>
      withTerminal(bareDev([DEVPTS], true), (pid) => {
        attempts++;
        const consoleFile = statSync(`/proc/${pid}/root/dev/console`);
        return (
          !consoleFile.isCharacterDevice() || consoleFile.ino !== statSync(`/proc/${pid}/fd/0`).ino
        );
      });
    const found = explore({ ...hostilePts(), attempt });
    expect(found.breaks).toEqual([]);
    expect(attempts).toBeGreaterThan(found.moments / 2);
  });

  test('CVE-2025-52565: the control, the slave looked at and mounted by its name', () => {
    const secret = statSync(join(tests.outside, 'file')).ino;
    const attempt = (): boolean =>
      naively((sys) => {
        const place = tests.inRoot('dev/pts');
        sys.mount({ source: 'devpts', target: place, type: 'devpts', data: 'newinstance' });
        sys.openat2(join(place, 'ptmx'), { flags: 2 });
        const slave = join(place, '0');
        if ((sys.statx(AT_FDCWD, slave, 0x100).mode & 0o170000) !== 0o020000) throw new Error('no');
        writeFileSync(tests.inRoot('console'), '');
        sys.mount({ source: slave, target: tests.inRoot('console'), flags: MS_BIND });
        return sys.statx(AT_FDCWD, tests.inRoot('console')).inode === secret;
      });
    expect(explore({ ...hostilePts(), attempt }).breaks).not.toEqual([]);
  });

  test.each(['a link to a file of the host', 'a FIFO', 'the null device', 'a directory'])(
    'where /dev/pts/ptmx of the image is %s there is no terminal, and nobody waits',
    (what) => {
      const pts = tests.inRoot('dev/pts');
      mkdirSync(pts);
      if (what === 'a FIFO') expect(spawnSync('mkfifo', [join(pts, 'ptmx')]).status).toBe(0);
      if (what === 'a directory') mkdirSync(join(pts, 'ptmx'));
      if (what.startsWith('a link')) symlinkSync(join(tests.outside, 'file'), join(pts, 'ptmx'));
      if (what === 'the null device') {
        localSyscalls().mknodat(AT_FDCWD, join(pts, 'ptmx'), 0o020666, 0x103);
      }
      const refused = () => withTerminal(bareDev([], true), () => true);
      expect(refused).toThrow(expect.objectContaining({ code: 'NOT_A_PTY' }));
    },
  );
});
