/** Compiled filters in the kernel: it takes them, and it decides as the interpreter says. */
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ENOSYS, EPERM } from '../src/errors/errno.ts';
import { MACHINES } from '../src/seccomp/architectures.ts';
import { compileSeccomp } from '../src/seccomp/compile.ts';
import { defaultSeccompProfile } from '../src/seccomp/default-profile.ts';
import { interpretSeccomp } from '../src/seccomp/interpret.ts';
import type { SeccompProfile } from '../src/seccomp/profile.ts';
import { Stub } from '../src/stub/stub.ts';
import { SECCOMP_SET_MODE_FILTER, WEXITED } from '../src/syscalls/constants.ts';
import { stringVector } from '../src/syscalls/memory.ts';
import { hostArchitecture, type SyscallName, syscallNumber } from '../src/syscalls/numbers.ts';
import { socketFilterProgram } from '../src/syscalls/process-calls.ts';
import { localSyscalls } from '../src/syscalls/syscalls.ts';

const BUSYBOX = '/bin/busybox';
const [own] = MACHINES[hostArchitecture()];

/** A stub under a filter; the stub itself needs futex, and exit_group at its end. */
function confined(profile: SeccompProfile): { stub: Stub; program: Uint8Array } {
  const { program, flags } = compileSeccomp(profile);
  const stub = Stub.spawn();
  stub.sys.setNoNewPrivileges();
  stub.sys.seccomp(SECCOMP_SET_MODE_FILTER, flags, program);
  return { stub, program };
}

/** Calls that ignore their arguments, so that these can be anything. */
const HARMLESS = ['getpid', 'getppid', 'getuid', 'getgid', 'gettid', 'sched_yield'] as const;
const value = fc.oneof(
  fc.constantFrom(0, 1, 7, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 7),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
);
const operator = fc.constantFrom('NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ');
/** Not EINTR, for which a call is repeated. */
const anErrno = fc.integer({ min: 100, max: 4095 });
const rule = fc.record({
  names: fc.subarray([...HARMLESS], { minLength: 1 }),
  action: fc.constantFrom('SCMP_ACT_ERRNO', 'SCMP_ACT_ALLOW', 'SCMP_ACT_LOG'),
  errnoRet: anErrno,
  args: fc.array(
    fc.record({
      index: fc.integer({ min: 0, max: 5 }),
      value,
      valueTwo: value,
      op: operator.map((name) => `SCMP_CMP_${name}`),
    }),
    { maxLength: 3 },
  ),
});
const profile = fc.record({
  defaultAction: fc.constant('SCMP_ACT_ERRNO'),
  defaultErrnoRet: anErrno,
  syscalls: fc.array(rule, { maxLength: 8 }),
});
const calls = fc.array(
  fc.record({
    name: fc.constantFrom(...HARMLESS),
    args: fc.array(value, { minLength: 6, maxLength: 6 }),
  }),
  { minLength: 10, maxLength: 20 },
);

test('the kernel decides as the interpreter', () => {
  fc.assert(
    fc.property(profile, calls, (some, tried) => {
      const needed = { names: ['futex', 'exit_group'], action: 'SCMP_ACT_ALLOW' };
      const { stub, program } = confined({ ...some, syscalls: [needed, ...some.syscalls] });
      using _ = stub;
      for (const { name, args } of tried) {
        const nr = syscallNumber(name)!;
        const data = { nr, arch: own!.auditArch, args: args.map(BigInt) };
        const wanted = interpretSeccomp(program, data).value;
        const result = stub.sys.attempt(name, ...args);
        const found = result < 0 ? 0x50000 - result : 'done';
        expect({ name, args, found }).toEqual({
          name,
          args,
          found: wanted >>> 16 === 5 ? wanted : 'done',
        });
      }
    }),
    { numRuns: 40 },
  );
});

test('the default profile in force', () => {
  using stub = confined(defaultSeccompProfile([])).stub;
  const attempt = (name: SyscallName, ...args: number[]): number => stub.sys.attempt(name, ...args);
  expect(attempt('getpid')).toBe(stub.pid);
  expect(attempt('socket', 1, 1, 0)).toBeGreaterThan(0);
  expect(attempt('socket', 38, 5, 0)).toBe(-EPERM);
  expect(attempt('socket', 40, 1, 0)).toBe(-EPERM);
  expect(attempt('unshare', 0x10000000)).toBe(-EPERM);
  expect(attempt('setns', 0, 0)).toBe(-EPERM);
  expect(attempt('clone3', 0, 0)).toBe(-ENOSYS);
  expect(attempt('file_setattr', 0, 0, 0, 0, 0)).toBe(-ENOSYS);
});

test('KILL_PROCESS ends the process', () => {
  const { stub } = confined({
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['getuid'], action: 'SCMP_ACT_KILL_PROCESS' }],
  });
  using _ = stub;
  expect(() => stub.sys.attempt('getuid')).toThrow(/ended during getuid/);
});

test.skipIf(!existsSync(BUSYBOX))('a shell works under the default profile, mount does not', () => {
  const { program, flags } = compileSeccomp(defaultSeccompProfile([]));
  const script =
    'mount -t tmpfs x /proc 2>/dev/null && exit 1; ls / >/dev/null || exit 2; echo a | grep -q a && exit 42';
  const stub = Stub.spawn({ title: 'strata: seccomp test' });
  stub.sys.setNoNewPrivileges();
  // In a mount namespace of its own, in case the filter lets it through.
  stub.sys.unshare(0x20000);
  stub.prepare([
    { name: 'seccomp', args: [SECCOMP_SET_MODE_FILTER, flags, socketFilterProgram(program)] },
    {
      name: 'execve',
      args: [BUSYBOX, stringVector(['sh', '-c', script]), stringVector(['PATH=/bin:/usr/bin'])],
    },
  ]);
  stub.run();
  const pid = stub.pid;
  stub.detach();
  expect(localSyscalls().waitid(pid, WEXITED)).toMatchObject({ pid, status: 42 });
});
