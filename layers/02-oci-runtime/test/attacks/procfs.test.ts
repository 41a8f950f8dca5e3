/**
 * A /proc that is not the kernel's.
 *
 *   CVE-2019-16884  runc   the image declares /proc a volume: the AppArmor label goes to a file of it
 *   CVE-2019-19921  runc   /proc is a link into a volume, which another container swaps meanwhile
 *   CVE-2023-27561  runc   the same again: the fix had been lost
 *   CVE-2023-28642  runc   /proc and /sys are links in the image: masks and labels go elsewhere
 *   CVE-2025-54867  youki  as before
 *   CVE-2025-52881  runc   what the runtime writes to procfs is redirected to other files of it
 *   CVE-2025-62596  youki  as before, for the AppArmor label: a check of the file system's type only
 *
 * Here procfs and sysfs are mounted on nothing but an ordinary directory, and only procfs at /proc.
 * Sysctls and labels are written below a procfs that is mounted for this alone and attached nowhere,
 * over no link and no mount; id maps and the like below a /proc that was looked at first.
 */
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CLONE_NEWNET,
  CLONE_NEWNS,
  localSyscalls,
  O_WRONLY,
  Stub,
  type Syscalls,
  writeProcessFile,
} from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { Mount, Spec } from '../../src/config/spec.ts';
import { hasBusybox } from '../bundle.ts';
import { explore } from './adversary.ts';
import { AttackTests, naively, swapNames } from './attack-tests.ts';

const tests = new AttackTests();
const MS_BIND = 0x1000;
const PORT_SYSCTL = 'net/ipv4/ip_unprivileged_port_start';

const proc: Mount = { destination: '/proc', type: 'proc', source: 'proc' };

const onlyWith =
  (mounts: Mount[], more: (spec: Spec) => void = () => {}) =>
  (spec: Spec): void => {
    spec.root!.readonly = false;
    spec.mounts = mounts;
    spec.linux!.readonlyPaths = [];
    spec.linux!.maskedPaths = ['/proc/timer_list', '/proc/keys'];
    more(spec);
  };

/** A root whose `proc` is a directory and whose `link` leads to what looks like a procfs. */
function hostileRoot(): { fake: string; swap(): void; reset(): void } {
  const fake = tests.inRoot('fake');
  const files = ['timer_list', 'keys', `sys/${PORT_SYSCTL}`, 'self/attr/exec'];
  for (const file of files) {
    mkdirSync(join(fake, file, '..'), { recursive: true });
    writeFileSync(join(fake, file), 'fake');
  }
  const reset = (): void => {
    for (const name of ['proc', 'link'])
      rmSync(tests.inRoot(name), { recursive: true, force: true });
    mkdirSync(tests.inRoot('proc'));
    symlinkSync('fake', tests.inRoot('link'));
  };
  reset();
  return { fake, reset, swap: () => swapNames(tests.bundle.rootfs, 'proc', 'link') };
}

/** Whether a process has a procfs of which some file that was to be masked is in sight. */
function seesUnmaskedProc(pid: number): boolean {
  const mounts = tests.mountsOf(pid);
  const places = new Set(mounts.map(({ mountPoint }) => mountPoint));
  return mounts.some(({ type, mountPoint, root }) => {
    if (type !== 'proc' || root !== '/') return false;
    return !places.has(`${mountPoint}/timer_list`) || !places.has(`${mountPoint}/keys`);
  });
}

describe.skipIf(!hasBusybox)('what is mounted at /proc', () => {
  test.each([
    ['/proc', 'CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867'],
    ['/sys', 'CVE-2023-28642, CVE-2025-54867'],
  ])('a link at %s is refused (%s)', (path) => {
    rmSync(tests.inRoot(path), { recursive: true });
    mkdirSync(tests.inRoot('elsewhere'));
    symlinkSync('/elsewhere', tests.inRoot(path));
    const refused = () => tests.attempt(({ root }) => (root!.readonly = false), seesUnmaskedProc);
    expect(refused).toThrow(expect.objectContaining({ errno: 40, hint: expect.any(String) }));
    const change = (spec: Spec): void => {
      onlyWith([{ destination: path, type: 'bind', source: path, options: ['rbind'] }])(spec);
    };
    expect(() => tests.attempt(change, seesUnmaskedProc)).toThrow(/ELOOP/);
  });

  test('CVE-2023-28642: swapped at any moment, a procfs has its masks or is not there', () => {
    const { swap, reset } = hostileRoot();
    const attempt = (): boolean => tests.attempt(onlyWith([proc]), (pid) => seesUnmaskedProc(pid));
    const found = explore({ swap, reset, attempt });
    expect(found.breaks).toEqual([]);
    expect(found.refused).toBeGreaterThan(0);
    expect(found.refused).toBeLessThan(2 * found.moments);
  });

  test('CVE-2023-28642: the control, procfs and its masks by name', () => {
    const { swap, reset } = hostileRoot();
    const attempt = (): boolean =>
      naively((sys, pid) => {
        const place = tests.inRoot('proc');
        sys.mount({ source: 'proc', target: place, type: 'proc' });
        for (const name of ['timer_list', 'keys']) {
          sys.mount({ source: '/dev/null', target: join(place, name), flags: MS_BIND });
        }
        const places = tests.mountsOf(pid).map(({ mountPoint }) => mountPoint);
        // Renamed or not, it is there.
        return ['proc', 'link'].some((name) => {
          const at = tests.inRoot(name);
          return places.includes(at) && !places.includes(`${at}/timer_list`);
        });
      });
    expect(explore({ swap, reset, attempt }).breaks).not.toEqual([]);
  });

  test('CVE-2019-16884: a volume at /proc is refused, a procfs of the host is not', () => {
    const source = tests.volume();
    const volume: Mount = { destination: '/proc/', type: 'bind', source, options: ['rbind'] };
    const mounts = (...more: Mount[]) => onlyWith([proc, ...more]);
    const refused = /mounts\[1\]: .* cannot be mounted at \/proc: not a procfs/;
    expect(() => tests.attempt(mounts(volume), seesUnmaskedProc)).toThrow(refused);
    const tmpfs = { destination: '/proc', type: 'tmpfs', source: 'tmpfs' };
    expect(() => tests.attempt(mounts(tmpfs), seesUnmaskedProc)).toThrow(refused);
    const host = { ...volume, source: '/proc' };
    expect(tests.attempt(mounts(host), (pid) => tests.mountsOf(pid).length)).toBeGreaterThan(2);
  });
});

/** The sysctl as the network namespace of a process has it. */
function portSysctl(pid: number): string {
  using stub = Stub.spawn();
  const pidfd = localSyscalls().pidfdOpen(pid);
  const us = stub.sys.pidfdOpen(process.pid);
  stub.sys.setns(stub.sys.pidfdGetfd(us, pidfd), CLONE_NEWNET);
  localSyscalls().close(pidfd);
  const bytes = new Uint8Array(16);
  const length = stub.sys.read(stub.sys.openat2(`/proc/sys/${PORT_SYSCTL}`, { flags: 0 }), bytes);
  return new TextDecoder().decode(bytes.subarray(0, length)).trim();
}

const oomScore = (pid: number) => readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8').trim();

describe.skipIf(!hasBusybox)('what is written to procfs', () => {
  test('CVE-2025-52881: a sysctl reaches the kernel, whatever /proc is by then', () => {
    const { fake, swap, reset } = hostileRoot();
    const before = tests.snapshot(fake);
    const values = new Set<string>();
    const change = onlyWith([proc], ({ linux }) => {
      linux!.sysctl = { [PORT_SYSCTL]: '1234' };
      linux!.maskedPaths = [];
    });
    const attempt = (): boolean => {
      tests.attempt(change, (pid) => values.add(portSysctl(pid)));
      return tests.snapshot(fake).join() !== before.join();
    };
    expect(explore({ swap, reset, attempt }).breaks).toEqual([]);
    expect([...values]).toEqual(['1234']);
    expect(tests.snapshot(fake)).toEqual(before);
  });

  test('CVE-2025-52881: the control, a sysctl written by its path', () => {
    const { fake, swap, reset } = hostileRoot();
    const before = tests.snapshot(fake);
    const attempt = (): boolean => {
      writeFileSync(join(fake, 'sys', PORT_SYSCTL), 'fake');
      return naively((sys) => {
        sys.unshare(CLONE_NEWNET);
        const path = tests.inRoot('proc/sys', PORT_SYSCTL);
        sys.mount({ source: 'proc', target: tests.inRoot('proc'), type: 'proc' });
        const fd = sys.openat2(path, { flags: O_WRONLY });
        sys.write(fd, '1234');
        return tests.snapshot(fake).join() !== before.join();
      });
    };
    expect(explore({ swap, reset, attempt }).breaks).not.toEqual([]);
  });

  /** A process whose /proc was tampered with; each case also on a naive write, which is misled. */
  function misled(tamper: (sys: Syscalls, pid: number) => void): void {
    using stub = Stub.spawn();
    const { sys, pid } = stub;
    sys.unshare(CLONE_NEWNS);
    sys.mount({ target: '/', flags: 0x44000 });
    tamper(sys, pid);
    const attempt = (): void => writeProcessFile({ pid, name: 'oom_score_adj' }, '500', sys);
    expect(attempt).toThrow(/EXDEV|ELOOP|not the root of a procfs/);
    const before = oomScore(pid);
    sys.write(sys.openat2(`/proc/${pid}/oom_score_adj`, { flags: O_WRONLY }), '500');
    expect(oomScore(pid)).toBe(before);
  }

  test('CVE-2025-52881: what confines a process is not written to another file of procfs', () => {
    using other = Stub.spawn();
    misled((sys, pid) => {
      const [source, target] = [other.pid, pid].map((which) => `/proc/${which}/oom_score_adj`);
      sys.mount({ source: source!, target: target!, flags: MS_BIND });
    });
    // That is where the naive write has gone.
    expect(oomScore(other.pid)).toBe('500');
  });

  test('CVE-2019-19921: nor to a file of something that is mounted at /proc', () => {
    misled((sys, pid) => {
      const fake = tests.volume('fake-proc');
      mkdirSync(join(fake, String(pid)));
      writeFileSync(join(fake, String(pid), 'oom_score_adj'), '');
      sys.mount({ source: fake, target: '/proc', flags: MS_BIND });
    });
  });
});
