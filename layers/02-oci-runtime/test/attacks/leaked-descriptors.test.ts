/**
 * What a container's process finds open, or is left in, of the host.
 *
 *   CVE-2024-21626  runc   a descriptor of the host is still open when the working directory is set:
 *                          cwd=/proc/self/fd/7 is then on the host; also in exec, by a link in the
 *                          image, and as a program below /proc/self/fd/7
 *
 * Of descriptors a container's process has 0, 1 and 2: the stub was spawned with those it was told to
 * have, and closes all others before it changes its directory. What it has changed to is looked at: the
 * kernel says of a place outside of the root that it is unreachable.
 *
 * Of keys it has none: its session keyring is a new one, in exec too (runc lets exec join the
 * container's, and root of other containers with it).
 */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  CLONE_NEWPID,
  Keyring,
  localSyscalls,
  O_RDONLY,
  Out,
  type Syscalls,
  syscallNumber,
  WEXITED,
} from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { Spec } from '../../src/config/spec.ts';
import { hasBusybox } from '../bundle.ts';
import { AttackTests, bringPerl, hasPerl, naively } from './attack-tests.ts';

const tests = new AttackTests();
const FDS = Array.from({ length: 20 }, (_, fd) => fd);

/** A directory of the host, open in this process and not closed by execve. */
function leak(): number {
  const sys = localSyscalls();
  const fd = openSync(tests.outside, 'r');
  // A number in the midst of those that are tried.
  const low = sys.call('fcntl', fd, 0 /* F_DUPFD */, 7);
  closeSync(fd);
  expect(fstatSync(low).isDirectory()).toBe(true);
  return low;
}

const inDirectory = (cwd: string) => (spec: Spec) => {
  spec.process!.cwd = cwd;
  spec.root!.readonly = false;
};

describe.skipIf(!hasBusybox)('the working directory', () => {
  test('CVE-2024-21626: is never one of the host, by no descriptor', () => {
    const leaked = leak();
    for (const fd of FDS) {
      const create = () => tests.attempt(inDirectory(`/proc/self/fd/${fd}`), () => {});
      expect(create).toThrow(/process\.cwd|ENOENT|ENOTDIR|ELOOP/);
    }
    closeSync(leaked);
  });

  test('CVE-2024-21626: nor by a link in the image', () => {
    const leaked = leak();
    symlinkSync(`/proc/self/fd/${leaked}`, tests.inRoot('link'));
    symlinkSync('/proc/self/fd', tests.inRoot('links'));
    for (const cwd of ['/link', '/link/directory', `/links/${leaked}`, '/proc/1/cwd']) {
      const create = () => tests.attempt(inDirectory(cwd), () => {});
      expect(create).toThrow(/process\.cwd|ENOENT|ENOTDIR|ELOOP/);
    }
    closeSync(leaked);
  });

  test('CVE-2024-21626: nor one that the caller has given as standard input', () => {
    const directory = openSync(tests.outside, 'r');
    const spec = tests.bundle.spec(['true'], inDirectory('/proc/self/fd/0'));
    const stdio = [directory, 1, 2] as const;
    const options = { id: 'test', bundle: tests.bundle.directory, spec, stdio };
    expect(() => tests.runtime.create(options)).toThrow(/process\.cwd|ELOOP/);
    // It need not be made; but who executes in a container finds it.
    tests.start();
    tests.bundle.write(tests.bundle.spec(['true']));
    const process = { ...spec.process!, args: ['cat', 'file'] };
    expect(() => tests.runtime.exec({ id: 'test', process, stdio })).toThrow(
      /process\.cwd: .*leads out of the root/,
    );
    closeSync(directory);
  });

  test('CVE-2024-21626: nor in exec, where the container has such a link', () => {
    tests.start();
    tests.bundle.write(tests.bundle.spec(['true']));
    const leaked = leak();
    symlinkSync(`/proc/self/fd/${leaked}`, tests.inRoot('link'));
    const base = tests.bundle.spec(['true']).process!;
    for (const cwd of ['/link', ...FDS.map((fd) => `/proc/self/fd/${fd}`)]) {
      const execute = () => tests.runtime.exec({ id: 'test', process: { ...base, cwd } });
      expect(execute).toThrow(/process\.cwd|ENOENT|ENOTDIR|ELOOP/);
    }
    const args = [`/proc/self/fd/${leaked}/../../../bin/sh`, '-c', 'true'];
    const execute = () => tests.runtime.exec({ id: 'test', process: { ...base, args } });
    expect(execute).toThrow(/no such file or directory/);
    closeSync(leaked);
  });

  test('CVE-2024-21626: the control, a directory of the host left open', () => {
    const leaked = openSync(tests.outside, 'r');
    const found = naively((sys: Syscalls) => {
      sys.unshare(CLONE_NEWPID);
      const us = sys.pidfdOpen(globalThis.process.pid);
      const fd = sys.pidfdGetfd(us, leaked);
      sys.mount({ source: 'proc', target: tests.inRoot('proc'), type: 'proc' });
      sys.call('chroot', tests.bundle.rootfs);
      sys.chdir('/');
      sys.chdir(`/proc/self/fd/${fd}`);
      const cwd = new Uint8Array(4096);
      sys.call('getcwd', new Out(cwd), cwd.length);
      const secret = sys.openat2('file', { flags: O_RDONLY });
      return { cwd: new TextDecoder().decode(cwd).slice(0, 13), secret };
    });
    closeSync(leaked);
    expect(found).toEqual({ cwd: '(unreachable)', secret: expect.any(Number) });
  });
});

describe.skipIf(!hasBusybox)('descriptors', () => {
  test('a container and what is executed in it have the standard streams and no others', () => {
    const leaked = leak();
    const list = ['sh', '-c', 'ls /proc/self/fd; sleep 100'];
    tests.create(list, (spec) => {
      spec.linux!.seccomp = { defaultAction: 'SCMP_ACT_ALLOW' };
      spec.process!.noNewPrivileges = false;
    });
    tests.runtime.start('test');
    tests.bundle.write(tests.bundle.spec(['true']));
    const output = openSync(join(tests.bundle.directory, 'exec'), 'w+');
    const stdio = [output, output, output] as const;
    const process = { ...tests.bundle.spec(['ls', '/proc/self/fd']).process! };
    const executed = tests.runtime.exec({ id: 'test', process, stdio });
    localSyscalls().waitid(executed.pid, WEXITED);
    closeSync(output);
    closeSync(leaked);
    const lines = (text: string): string[] => text.trim().split('\n');
    // 3 is the listing's own.
    expect(
      lines(spawnSync('cat', [join(tests.bundle.directory, 'exec')]).stdout.toString()),
    ).toEqual(['0', '1', '2', '3']);
    return expect.poll(() => lines(tests.output)).toEqual(['0', '1', '2', '3']);
  });
});

describe.skipIf(!hasBusybox || !hasPerl)('keys', () => {
  /** Says whether it finds a key of this name in its session keyring. */
  const SEARCH = `
    my $found = syscall(${syscallNumber('keyctl')}, 10, -3, my $type = "user", my $name = "strata-secret", 0);
    print $found > 0 ? "found" : "none";
  `;

  test('of the runtime’s caller are not in the session of a container, nor of an exec', () => {
    const sys = localSyscalls();
    // Of this thread; what it starts is in it.
    Keyring.joinSession(sys, 'strata-test').add('strata-secret', 'of the host');
    bringPerl(tests);
    const control = spawnSync('perl', ['-e', SEARCH], { encoding: 'utf8' });
    expect(control.stdout).toBe('found');
    expect(tests.shell(`/usr/bin/perl -e '${SEARCH}'`)).toBe('none');
    tests.start();
    tests.bundle.write(tests.bundle.spec(['true']));
    const path = join(tests.bundle.directory, 'exec');
    const output = openSync(path, 'w+');
    const process = tests.bundle.spec(['/usr/bin/perl', '-e', SEARCH]).process!;
    const stdio = [output, output, output] as const;
    const { pid } = tests.runtime.exec({ id: 'test', process, stdio });
    sys.waitid(pid, WEXITED);
    closeSync(output);
    expect(spawnSync('cat', [path], { encoding: 'utf8' }).stdout).toBe('none');
  });
});
