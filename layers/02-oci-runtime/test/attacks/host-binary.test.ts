/**
 * The runtime's own program, overwritten from inside.
 *
 *   CVE-2019-5736  runc (and LXC)   /proc/self/exe of the process that enters a container is the
 *                                   runtime's file on the host: a container opens it as /proc/PID/exe,
 *                                   or has itself executed by a script whose interpreter it is, waits
 *                                   until it is not busy, and writes
 *
 * What enters a container here is a stub of 600 bytes in a memfd: a file without a place on the host,
 * sealed against writing, growing, shrinking, and (Linux 6.3) against losing its permission to be
 * executed. Node is never in a namespace of a container. Who makes the stub useless otherwise makes
 * nobody wait: another one is made.
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  CLONE_NEWNS,
  CLONE_NEWPID,
  EPERM,
  localSyscalls,
  O_PATH,
  O_RDWR,
  O_WRONLY,
  SIGKILL,
  Stub,
  startArmedStub,
  stringVector,
  WEXITED,
} from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { Spec } from '../../src/config/spec.ts';
import { hasBusybox } from '../bundle.ts';
import { afterEachCall } from './adversary.ts';
import { AttackTests } from './attack-tests.ts';
import { Intruder } from './intruder.ts';

const tests = new AttackTests();
const O_TRUNC = 0o1000;
const SIGSEGV = 11;

/** Linux 6.3: MFD_NOEXEC_SEAL. */
const hasExecutableSeal = ((): boolean => {
  const fd = localSyscalls().attempt('memfd_create', 'strata-test', 8);
  if (fd >= 0) localSyscalls().close(fd);
  return fd >= 0;
})();

/** A container that may do everything that root may. */
function privileged(spec: Spec): void {
  spec.linux!.maskedPaths = [];
  spec.linux!.readonlyPaths = [];
  spec.root!.readonly = false;
}

/** Our descriptor of the stub's executable. */
function stubDescriptor(): number {
  const fds = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:strata-stub');
    } catch {
      return false;
    }
  });
  expect(fds).toHaveLength(1);
  return Number(fds[0]);
}

const stubBytes = (): Buffer => readFileSync(`/proc/self/fd/${stubDescriptor()}`);

/** What a container tries on an executable that it has a descriptor of; returns what worked. */
function overwrite({ sys }: Intruder, fd: number): string[] {
  const works: string[] = [];
  for (const [name, flags] of Object.entries({ O_WRONLY, O_RDWR, O_TRUNC: O_WRONLY | O_TRUNC })) {
    const again = sys.attempt('openat', -100, `/proc/self/fd/${fd}`, flags, 0);
    if (again < 0) continue;
    const bytes = new TextEncoder().encode('#!/attack');
    if (sys.attempt('write', again, bytes, bytes.length) > 0) works.push(`write with ${name}`);
    if (sys.attempt('ftruncate', again, 0) >= 0) works.push(`ftruncate with ${name}`);
    if (sys.attempt('fallocate', again, 3, 0, 4096) >= 0) works.push(`fallocate with ${name}`);
    sys.close(again);
  }
  return works;
}

describe.skipIf(!hasBusybox)('the executable of the process that enters a container', () => {
  test('CVE-2019-5736: is not overwritten by a privileged container that gets hold of it', () => {
    const { pid } = tests.start(privileged);
    const before = stubBytes();
    using intruder = new Intruder({ pid, hasUserNamespace: false });
    tests.bundle.write(tests.bundle.spec(['true'], privileged));
    const known = new Set(intruder.others());
    const held: number[] = [];
    const worked: string[] = [];
    const attack = (): void => {
      for (const other of intruder.others()) {
        if (known.has(other)) continue;
        const fd = intruder.open(`/proc/${other}/exe`, O_PATH);
        if (fd === undefined) continue;
        worked.push(...overwrite(intruder, fd));
        if (held.length < 4) held.push(fd);
        else intruder.sys.close(fd);
      }
    };
    const process = tests.bundle.spec(['true']).process!;
    const { pid: executed } = afterEachCall(attack, () =>
      tests.runtime.exec({ id: 'test', process }),
    );
    localSyscalls().waitid(executed, WEXITED);
    // It is not busy any more, and they still have it.
    for (const fd of held) worked.push(...overwrite(intruder, fd));
    expect(held).toHaveLength(4);
    expect(worked).toEqual([]);
    expect(stubBytes()).toEqual(before);
  });

  test('CVE-2019-5736: the control, a program of the host that enters', async () => {
    const { pid } = tests.start(privileged);
    using intruder = new Intruder({ pid, hasUserNamespace: false });
    const known = new Set(intruder.others());
    const program = join(tests.outside, 'runtime');
    copyFileSync('/bin/busybox', program);
    chmodSync(program, 0o755);
    const [pidfd, binary] = [localSyscalls().pidfdOpen(pid), openSync(program, 'r')];
    const descriptors = new Map([
      [5, pidfd],
      [6, binary],
    ]);
    using joiner = Stub.spawn({ descriptors });
    for (const fd of [binary, pidfd]) closeSync(fd);
    joiner.sys.setns(5, CLONE_NEWPID | CLONE_NEWNS);
    using entered = joiner.clone({ flags: 0 });
    const args = ['/proc/self/fd/6', stringVector(['sleep', '100']), stringVector([])];
    entered.prepare([{ name: 'execve', args }]);
    entered.run();
    await expect.poll(() => readlinkSync(`/proc/${entered.pid}/exe`)).toBe(program);
    const other = intruder.others().find((which) => !known.has(which));
    const held = intruder.open(`/proc/${other}/exe`, O_PATH)!;
    expect(overwrite(intruder, held)).toEqual([]);
    localSyscalls().call('kill', entered.pid, SIGKILL);
    await expect.poll(() => overwrite(intruder, held)).toContain('write with O_TRUNC');
    expect(statSync(program).size).toBeLessThan(statSync('/bin/busybox').size);
  });

  test('CVE-2019-5736: a script that has the stub executed again gets nothing by it', () => {
    const before = stubBytes();
    writeFileSync(tests.inRoot('bin/script'), '#!/proc/self/exe\n', { mode: 0o755 });
    const { pid } = tests.create(['script'], privileged);
    tests.runtime.start('test');
    // It is the stub once more, without its memory: it crashes.
    expect(localSyscalls().waitid(pid, WEXITED)).toMatchObject({ status: SIGSEGV });
    tests.runtime.delete('test');
    expect(stubBytes()).toEqual(before);
  });

  test('nor is it made useless: by its permissions, or by who holds it open to write to it', () => {
    const fd = stubDescriptor();
    const sys = localSyscalls();
    // Before Linux 6.3 it can be done, and only helps nobody.
    expect(sys.attempt('fchmod', fd, 0)).toBe(hasExecutableSeal ? -EPERM : 0);
    expect(tests.attempt(privileged, () => 'made')).toBe('made');
    const busy = openSync(`/proc/self/fd/${stubDescriptor()}`, 'r+');
    expect(sys.attempt('write', busy, 'x', 1)).toBe(-EPERM);
    // As long as somebody could write to it the kernel does not execute it.
    expect(tests.attempt(privileged, () => 'made')).toBe('made');
    const spoilt = fstatSync(busy).ino;
    closeSync(busy);
    // There is another one.
    expect(fstatSync(stubDescriptor()).ino).not.toBe(spoilt);
  });

  test.skipIf(!hasExecutableSeal)(
    'and nobody executes the memory through which it gets its orders',
    () => {
      using stub = Stub.spawn();
      const mode = statSync(`/proc/self/fd/${stub.mailboxFd}`).mode & 0o111;
      expect(mode).toBe(0);
      expect(localSyscalls().attempt('fchmod', stub.mailboxFd, 0o755)).toBe(-EPERM);
    },
  );

  test('what looks like a container that waits for start is looked at before its memory is', () => {
    // A process that has got itself the stub, with a descriptor 3 of its own.
    const sys = localSyscalls();
    const small = sys.memfdCreate('not-a-mailbox', 0);
    sys.ftruncate(small, 4096);
    using stub = Stub.spawn();
    const us = stub.sys.pidfdOpen(process.pid);
    stub.sys.dup3(stub.sys.pidfdGetfd(us, small), 3);
    stub.sys.flush();
    const start = () => startArmedStub({ pid: stub.pid, syncFd: 4, calls: [] });
    expect(start).toThrow(expect.objectContaining({ code: 'NOT_ARMED' }));
    sys.close(small);
  });
});
