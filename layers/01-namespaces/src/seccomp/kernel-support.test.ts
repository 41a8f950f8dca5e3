import { expect, test } from 'vitest';
import { ENOSYS } from '../errors/errno.ts';
import { RecordingExecutor } from '../syscalls/recording.ts';
import { Syscalls } from '../syscalls/syscalls.ts';
import { compileSeccomp } from './compile.ts';
import {
  notificationSizes,
  requireFilterFlags,
  supportedActions,
  supportedFlags,
} from './kernel-support.ts';

test('the running kernel knows the actions and flags of its time', () => {
  expect(supportedActions()).toEqual(
    expect.arrayContaining(['SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_LOG', 'SCMP_ACT_NOTIFY']),
  );
  expect(supportedFlags()).toEqual(
    expect.arrayContaining(['SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW']),
  );
});

test('every combination that a profile can ask for is one that the kernel takes', () => {
  const names = supportedFlags();
  for (let bits = 0; bits < 1 << names.length; bits++) {
    const flags = names.filter((_, index) => bits & (1 << index));
    for (const action of ['SCMP_ACT_NOTIFY', 'SCMP_ACT_LOG']) {
      const syscalls = [{ names: ['acct'], action }];
      const filter = compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', flags, syscalls });
      expect(() => requireFilterFlags(filter.flags)).not.toThrow();
    }
  }
});

test('what the kernel does not know is named', () => {
  const EINVAL = 22;
  const EFAULT = 14;
  const linux5_18 = new Syscalls(
    new RecordingExecutor((_, args) => (Number(args[1]) & 32 ? -EINVAL : -EFAULT)),
  );
  expect(() => requireFilterFlags(4, linux5_18)).not.toThrow();
  expect(() => requireFilterFlags(4 + 8 + 32, linux5_18)).toThrow(
    expect.objectContaining({
      code: 'ENOTSUP',
      field: 'linux.seccomp.flags',
      message: expect.stringMatching(/know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV$/),
    }),
  );
  const without = new Syscalls(new RecordingExecutor(() => -ENOSYS));
  expect(() => requireFilterFlags(0, without)).toThrow(/does not know the combination 0x0/);
});

test('the structs of this kernel are those we know, or longer', () => {
  const sizes = notificationSizes();
  expect(sizes.notification).toBeGreaterThanOrEqual(80);
  expect(sizes.response).toBeGreaterThanOrEqual(24);
  expect(sizes.data).toBeGreaterThanOrEqual(64);
});
