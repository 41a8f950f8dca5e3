import { expect, test } from 'vitest';
import {
  AUDIT_ARCH_AARCH64,
  AUDIT_ARCH_I386,
  AUDIT_ARCH_X86_64,
  MACHINES,
} from './architectures.ts';
import { compileSeccomp } from './compile.ts';
import { defaultSeccompProfile } from './default-profile.ts';
import { decodeInstructions } from './instruction.ts';
import { interpretSeccomp } from './interpret.ts';
import { naiveVerdict } from './naive-verdict.ts';

const ALLOW = 0x7fff0000;
const EPERM = 0x50001;
const ENOSYS = 0x50026;
const CLONE_NEWUSER = 0x10000000n;
const [X86_64] = MACHINES['x86-64'];

function verdict(capabilities: string[], name: string, ...args: bigint[]): number {
  const profile = defaultSeccompProfile(capabilities, 'x86-64');
  const { program } = compileSeccomp(profile, { architecture: 'x86-64' });
  const nr = X86_64!.numbers()[name]!;
  return interpretSeccomp(program, { nr, arch: AUDIT_ARCH_X86_64, args }).value;
}

test.each([
  ['read', [], ALLOW],
  ['socket', [2n], ALLOW],
  ['socket', [38n], EPERM],
  ['socket', [39n], ALLOW],
  ['socket', [40n], EPERM],
  ['socket', [41n], ALLOW],
  ['socket', [(1n << 32n) + 2n], ALLOW],
  ['personality', [0xffffffffn], ALLOW],
  ['personality', [0x40000n], EPERM],
  ['clone', [0x11n], ALLOW],
  ['clone', [CLONE_NEWUSER | 0x11n], EPERM],
  ['clone3', [], ENOSYS],
  ['mount', [], EPERM],
  ['unshare', [], EPERM],
  ['bpf', [], EPERM],
  ['keyctl', [], EPERM],
  ['kexec_load', [], EPERM],
  ['io_uring_setup', [], EPERM],
  ['ptrace', [], ALLOW],
] as const)('without capabilities %s(%s)', (name, args, wanted) => {
  expect(verdict([], name, ...args)).toBe(wanted);
});

test('capabilities give back what belongs to them', () => {
  expect(verdict(['CAP_SYS_ADMIN'], 'mount')).toBe(ALLOW);
  expect(verdict(['CAP_SYS_ADMIN'], 'clone', CLONE_NEWUSER)).toBe(ALLOW);
  expect(verdict(['CAP_SYS_ADMIN'], 'clone3')).toBe(ALLOW);
  expect(verdict(['CAP_SYS_CHROOT'], 'chroot')).toBe(ALLOW);
  expect(verdict(['CAP_SYS_CHROOT'], 'mount')).toBe(EPERM);
  expect(verdict(['CAP_FUTURE', 'constructor'], 'chroot')).toBe(EPERM);
});

test.each(['x86-64', 'arm64'] as const)('every call of every interface of %s', (machine) => {
  const profile = defaultSeccompProfile(['CAP_SYS_TIME', 'CAP_NET_ADMIN'], machine);
  const { program } = compileSeccomp(profile, { architecture: machine });
  for (const via of MACHINES[machine]) {
    for (const [name, nr] of Object.entries(via.numbers())) {
      for (const first of [0n, 1n, 8n, 38n, 39n, 40n, CLONE_NEWUSER]) {
        const data = { nr, arch: via.auditArch, args: [first, 0n, 0n, 0n, 0n, 0n] };
        const found = { name, first, value: interpretSeccomp(program, data).value };
        expect(found).toEqual({ name, first, value: naiveVerdict(profile, machine, data) });
      }
    }
  }
});

test('the filter is short, and no call takes long', () => {
  // libseccomp 2.5.4 makes 998 instructions of it, 251 of them for a call in the mean; 1243 and 15
  // as a binary tree.
  const { program } = compileSeccomp(defaultSeccompProfile([], 'x86-64'), {
    architecture: 'x86-64',
  });
  expect(decodeInstructions(program).length).toBeLessThan(300);
  for (const arch of [AUDIT_ARCH_X86_64, AUDIT_ARCH_I386]) {
    for (let nr = 0; nr < 600; nr++) {
      expect(interpretSeccomp(program, { nr, arch }).steps).toBeLessThan(20);
    }
  }
});

test('arm64 machines admit 32-bit arm', () => {
  const profile = defaultSeccompProfile([], 'arm64');
  const { program } = compileSeccomp(profile, { architecture: 'arm64' });
  const read = { nr: 63, arch: AUDIT_ARCH_AARCH64 };
  expect(interpretSeccomp(program, read).value).toBe(ALLOW);
  const cacheflush = { nr: 0xf0002, arch: 0x40000028 };
  expect(interpretSeccomp(program, cacheflush).value).toBe(ALLOW);
});
