/** Compiled filters in the kernel: it takes them, and it decides as the interpreter says. */
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ENOSYS, EPERM } from '../src/errors/errno.ts';
import { StubDiedError } from '../src/errors/syscall-error.ts';
import {
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
} from '../src/seccomp/actions.ts';
import { MACHINES } from '../src/seccomp/architectures.ts';
import { compileSeccomp } from '../src/seccomp/compile.ts';
import { defaultSeccompProfile } from '../src/seccomp/default-profile.ts';
import { interpretSeccomp } from '../src/seccomp/interpret.ts';
import { naiveVerdict } from '../src/seccomp/naive-verdict.ts';
import type { SeccompProfile } from '../src/seccomp/profile.ts';
import { Stub } from '../src/stub/stub.ts';
import { SECCOMP_SET_MODE_FILTER, WEXITED, WNOWAIT } from '../src/syscalls/constants.ts';
import { stringVector } from '../src/syscalls/memory.ts';
import { hostArchitecture, type SyscallName, syscallNumber } from '../src/syscalls/numbers.ts';
import { socketFilterProgram } from '../src/syscalls/process-calls.ts';
import { localSyscalls } from '../src/syscalls/syscalls.ts';

const BUSYBOX = '/bin/busybox';
const [own] = MACHINES[hostArchitecture()];

const SIGSYS = 31;

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
const action = fc.oneof(
  { weight: 3, arbitrary: anErrno.map((errnoRet) => ({ action: 'SCMP_ACT_ERRNO', errnoRet })) },
  {
    weight: 3,
    arbitrary: fc.constantFrom('ALLOW', 'LOG').map((name) => ({ action: `SCMP_ACT_${name}` })),
  },
  // Without a tracer, TRACE is ENOSYS; without a listener, so is NOTIFY.
  { weight: 1, arbitrary: anErrno.map((errnoRet) => ({ action: 'SCMP_ACT_TRACE', errnoRet })) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('KILL', 'KILL_THREAD', 'KILL_PROCESS', 'TRAP')
      .map((name) => ({ action: `SCMP_ACT_${name}` })),
  },
);
const condition = fc.record({
  index: fc.integer({ min: 0, max: 5 }),
  value,
  valueTwo: value,
  op: operator.map((name) => `SCMP_CMP_${name}`),
});
const rule = fc
  .record({
    names: fc.subarray([...HARMLESS], { minLength: 1 }),
    said: action,
    args: fc.array(condition, { maxLength: 3 }),
  })
  .map(({ said, ...rest }) => ({ ...rest, ...said }));
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

/** What comes of a call: its errno, that it was done, or the signal that it was the end of. */
function outcomeInKernel(stub: Stub, name: SyscallName, args: readonly number[]): string {
  try {
    const result = stub.sys.attempt(name, ...args);
    return result < 0 ? `errno ${-result}` : 'done';
  } catch (error) {
    if (!(error instanceof StubDiedError)) throw error;
    return `killed by ${localSyscalls().waitid(stub.pid, WEXITED | WNOWAIT)!.status}`;
  }
}

/** What is to come of it, by what the profile says. */
function outcomeWanted(verdict: number): string {
  const [action, data] = [verdict >>> 16, verdict & 0xffff];
  if (action === SECCOMP_RET_ERRNO >>> 16) return `errno ${data}`;
  if (action === SECCOMP_RET_TRACE >>> 16) return `errno ${ENOSYS}`;
  const ends = [SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP];
  return ends.some((end) => end >>> 16 === action) ? `killed by ${SIGSYS}` : 'done';
}

test('the kernel does what the profile says, and so does the interpreter', () => {
  fc.assert(
    fc.property(profile, calls, (some, tried) => {
      const needed = { names: ['futex', 'exit_group'], action: 'SCMP_ACT_ALLOW' };
      const whole = { ...some, syscalls: [needed, ...some.syscalls] };
      const { stub, program } = confined(whole);
      using _ = stub;
      for (const { name, args } of tried) {
        const data = { nr: syscallNumber(name)!, arch: own!.auditArch, args: args.map(BigInt) };
        const verdict = naiveVerdict(whole, hostArchitecture(), data);
        const wanted = { name, args, verdict, outcome: outcomeWanted(verdict) };
        const interpreted = interpretSeccomp(program, data).value;
        const outcome = outcomeInKernel(stub, name, args);
        expect({ name, args, verdict: interpreted, outcome }).toEqual(wanted);
        if (outcome.startsWith('killed')) return;
      }
    }),
    { numRuns: 80 },
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
