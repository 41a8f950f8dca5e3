/**
 * Calls that signals interrupt, and kernels that lack calls.
 *
 * A stub has no signal handlers, and without one nothing is interrupted. So the test gives it one: a
 * page of code with a function that does nothing, installed without SA_RESTART. Another process then
 * sends it signals as fast as it can.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { EINTR } from '../src/errors/errno.ts';
import { landlockAbi } from '../src/landlock/ruleset.ts';
import { compileSeccomp } from '../src/seccomp/compile.ts';
import { setLabel } from '../src/security-modules/labels.ts';
import { activeSecurityModules } from '../src/security-modules/security-modules.ts';
import { Stub } from '../src/stub/stub.ts';
import {
  CLONE_PARENT,
  MFD_CLOEXEC,
  POLLIN,
  PROT_READ,
  SECCOMP_SET_MODE_FILTER,
  WEXITED,
} from '../src/syscalls/constants.ts';
import { hostArchitecture, type SyscallName } from '../src/syscalls/numbers.ts';
import { localSyscalls } from '../src/syscalls/syscalls.ts';
import { Pty } from '../src/terminals/pty.ts';

const SIGUSR1 = 10;
const PROT_EXEC = 4;
const MAP_PRIVATE = 2;
const SA_RESTORER = 0x04000000;
/** A handler that returns; at 16, what returns from the signal: rt_sigreturn(2). */
const CODE = {
  'x86-64': [0xc3, ...Array(15).fill(0x90), 0xb8, 15, 0, 0, 0, 0x0f, 0x05],
  arm64: [0xc0, 0x03, 0x5f, 0xd6, ...Array(12).fill(0), 0x68, 0x11, 0x80, 0xd2, 1, 0, 0, 0xd4],
}[hostArchitecture()];

/** Makes SIGUSR1 interrupt what the stub is doing, and nothing else. */
function makeInterruptible(stub: Stub): void {
  const { sys } = stub;
  const fd = sys.memfdCreate('strata-handler', MFD_CLOEXEC);
  sys.write(fd, Uint8Array.from(CODE));
  const handler = sys.call('mmap', 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  sys.close(fd);
  // struct sigaction of the kernel: handler, flags, restorer, mask.
  const action = BigUint64Array.of(BigInt(handler), BigInt(SA_RESTORER), BigInt(handler + 16), 0n);
  sys.call('rt_sigaction', SIGUSR1, new Uint8Array(action.buffer), null, 8);
}

/** Sends signals to a process, thousands a second, until the test is over. */
async function storm(pid: number): Promise<void> {
  const script = 'while kill -USR1 "$0" 2>/dev/null; do :; done';
  const child: ChildProcess = spawn('/bin/sh', ['-c', script, String(pid)], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  await new Promise((resolve) => child.once('spawn', resolve));
}

const switches = (pid: number): number =>
  Number(
    /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1],
  );

test('in a storm of signals every call ends as it would without', async () => {
  using launcher = Stub.spawn();
  const stub = launcher.clone({ flags: CLONE_PARENT });
  onTestFinished(() => stub[Symbol.dispose]());
  makeInterruptible(stub);
  const { sys } = stub;
  const [readEnd, writeEnd] = sys.pipe2();
  using pty = Pty.open(sys);
  await storm(stub.pid);

  // The storm is one: a call that blocks and is not repeated says EINTR.
  const pause = new Uint8Array(BigInt64Array.of(5n, 0n).buffer);
  expect(sys.executor.invoke('clock_nanosleep', [1, 0, pause, null])).toBe(-EINTR);

  const before = switches(stub.pid);
  const started = performance.now();
  expect(sys.poll(readEnd, POLLIN, 700)).toBe(0);
  const elapsed = performance.now() - started;
  expect(elapsed).toBeGreaterThan(650);
  expect(elapsed).toBeLessThan(5000); // begun anew by each signal, it would never end
  expect(switches(stub.pid) - before).toBeGreaterThan(50);

  for (let round = 0; round < 200; round++) {
    sys.write(writeEnd, `round ${round}`.padEnd(16));
    const bytes = new Uint8Array(16);
    expect(sys.read(readEnd, bytes)).toBe(16);
    expect(new TextDecoder().decode(bytes).trim()).toBe(`round ${round}`);
    sys.openat2('/proc/self/status', { flags: 0 });
  }
  sys.write(pty.master, 'line\n');
  expect(sys.read(pty.slave, new Uint8Array(16))).toBe(5);
});

test('a blocking read is interrupted thousands of times and still gets its bytes', async () => {
  const local = localSyscalls();
  const [readEnd, writeEnd] = local.pipe2();
  using stub = Stub.spawn({ descriptors: new Map([[10, readEnd]]) });
  local.close(readEnd);
  makeInterruptible(stub);
  await storm(stub.pid);
  const writer = spawn('/bin/sh', ['-c', 'sleep 2; echo done >&3'], {
    stdio: ['ignore', 'ignore', 'ignore', writeEnd],
  });
  onTestFinished(() => void writer.kill('SIGKILL'));
  const bytes = new Uint8Array(16);
  expect(stub.sys.read(10, bytes)).toBe(5);
  expect(new TextDecoder().decode(bytes.subarray(0, 4))).toBe('done');
  local.close(writeEnd);
});

test('waiting for a child is not given up', async () => {
  using stub = Stub.spawn();
  makeInterruptible(stub);
  const child = stub.clone({ flags: 0 });
  child.prepare([
    {
      name: 'clock_nanosleep',
      args: [1, 0, new Uint8Array(BigInt64Array.of(1n, 0n).buffer), null],
    },
    { name: 'exit_group', args: [9] },
  ]);
  child.run();
  child.detach();
  await storm(stub.pid);
  expect(stub.sys.waitid(child.pid, WEXITED)).toMatchObject({ status: 9 });
});

/** What came to Linux after 5.4: a stub on which they fail is a stub on an older kernel. */
const NEWER: readonly SyscallName[] = [
  'openat2',
  'pidfd_getfd',
  'close_range',
  'mount_setattr',
  'landlock_create_ruleset',
  'landlock_add_rule',
  'landlock_restrict_self',
  'set_mempolicy_home_node',
  'lsm_list_modules',
  'lsm_set_self_attr',
  'pidfd_open',
];

function olderKernel(): Stub {
  const { program, flags } = compileSeccomp({
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: NEWER, action: 'SCMP_ACT_ERRNO', errnoRet: 38 }],
  });
  const stub = Stub.spawn();
  stub.sys.setNoNewPrivileges();
  stub.sys.seccomp(SECCOMP_SET_MODE_FILTER, flags, program);
  return stub;
}

test('a call that the kernel lacks is an error with its name and a hint', () => {
  using stub = olderKernel();
  const { sys } = stub;
  const calls: Record<string, () => unknown> = {
    openat2: () => sys.openat2('/', { flags: 0 }),
    pidfd_open: () => sys.pidfdOpen(1),
    pidfd_getfd: () => sys.pidfdGetfd(0, 0),
    landlock_create_ruleset: () => sys.landlockAbi(),
    set_mempolicy_home_node: () => sys.setMempolicyHomeNode({ address: 0, bytes: 0 }, 0),
    lsm_list_modules: () => sys.lsmListModules(),
    lsm_set_self_attr: () => sys.lsmSetSelfAttr(100, 104, 'x'),
  };
  for (const [syscall, call] of Object.entries(calls)) {
    expect(call).toThrow(
      expect.objectContaining({ syscall, code: 'ENOSYS', hint: expect.stringContaining('kernel') }),
    );
  }
});

test('where there is another way it is gone', () => {
  using stub = olderKernel();
  expect(landlockAbi(stub.sys)).toBe(0);
  expect(activeSecurityModules(stub.sys)).toEqual(expect.any(Array));
  if (activeSecurityModules().includes('apparmor')) return;
  expect(() => setLabel(stub.sys, { module: 'apparmor', value: 'strata' })).toThrow(
    expect.objectContaining({ code: 'LSM_INACTIVE' }),
  );
});
