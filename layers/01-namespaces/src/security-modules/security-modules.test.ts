/** Detection on the running kernel, and that nothing is written where no module would read it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { ENOENT, ENOSYS } from '../errors/errno.ts';
import { detachedProc, openVerified } from '../mounts/detached-proc.ts';
import { Stub } from '../stub/stub.ts';
import {
  AT_FDCWD,
  CLONE_NEWNS,
  MS_BIND,
  MS_PRIVATE,
  MS_REC,
  O_DIRECTORY,
  O_PATH,
} from '../syscalls/constants.ts';
import { RecordingExecutor } from '../syscalls/recording.ts';
import { Syscalls } from '../syscalls/syscalls.ts';
import {
  hasAppArmorProfile,
  isConfined,
  parseAppArmorLabel,
  parseLabel,
  readLabel,
  setLabel,
  writeLabel,
} from './labels.ts';
import {
  activeSecurityModules,
  parseModuleList,
  requireSecurityModule,
} from './security-modules.ts';

const active = activeSecurityModules();

/** A vocabulary on a pretended kernel: with AppArmor, and with or without the calls of Linux 6.8. */
function pretended(options: { modern: boolean; refuseOwnFolder?: boolean }): RecordingExecutor {
  return new RecordingExecutor((name, args) => {
    if (name === 'lsm_set_self_attr') return options.modern ? 0 : -ENOSYS;
    if (name === 'lsm_list_modules') {
      const [ids] = args as [{ bytes: Uint8Array }];
      ids.bytes[0] = 104;
      return 1;
    }
    const path = args.find((arg) => typeof arg === 'string');
    if (name === 'openat2' && options.refuseOwnFolder && path?.includes('/apparmor/')) {
      return -ENOENT;
    }
    return name === 'gettid' ? 7 : undefined;
  });
}

test('the active modules are known on a new kernel and on an old one', () => {
  using stub = Stub.spawn();
  expect(activeSecurityModules(stub.sys)).toEqual(active);
  const old = new Syscalls(new RecordingExecutor(() => -ENOSYS));
  const guessed = activeSecurityModules(old);
  expect(guessed.filter((name) => active.includes(name) || name === 'yama')).toEqual(guessed);
});

test.skipIf(active.includes('apparmor'))(
  'a label without its module is an error that says so',
  () => {
    using stub = Stub.spawn();
    const expected = expect.objectContaining({ code: 'LSM_INACTIVE', hint: expect.any(String) });
    expect(() => setLabel(stub.sys, { module: 'apparmor', value: 'strata-none' })).toThrow(
      expected,
    );
    expect(() => readLabel('apparmor')).toThrow(expected);
    expect(() => requireSecurityModule('apparmor')).toThrow(expected);
    expect(hasAppArmorProfile('strata-none')).toBeUndefined();
  },
);

test.skipIf(!active.includes('apparmor'))('a profile that is not loaded is refused', () => {
  using stub = Stub.spawn();
  expect(() => setLabel(stub.sys, { module: 'apparmor', value: 'strata-none' })).toThrow(/ENOENT/);
  expect(readLabel('apparmor')).toBeDefined();
});

test('with the call of Linux 6.8 no file is opened', () => {
  const recorder = pretended({ modern: true });
  setLabel(new Syscalls(recorder), { module: 'apparmor', value: 'strata-profile' });
  expect(recorder.records.map(({ name }) => name)).toEqual([
    'lsm_list_modules',
    'lsm_set_self_attr',
  ]);
  const bytes = recorder.records[1]!.args[1] as Uint8Array;
  expect(new TextDecoder().decode(bytes.subarray(32))).toMatch(/^exec strata-profile\0+$/);
  expect(bytes.length % 8).toBe(0);
});

test.each([false, true])(
  'without it, a file of a procfs of our own is (old AppArmor: %s)',
  (old) => {
    const recorder = pretended({ modern: false, refuseOwnFolder: old });
    setLabel(new Syscalls(recorder), { module: 'apparmor', value: 'strata-profile' });
    const lines = recorder.lines();
    expect(lines.join('\n')).toContain('fsmount');
    expect(
      lines.some((line) => line.includes(old ? '"7/attr/exec"' : '"7/attr/apparmor/exec"')),
    ).toBe(true);
    const opened = recorder.records.filter(({ name, result }) => OPENS.has(name) && result > 2);
    const closed = recorder.records.filter(({ name }) => name === 'close');
    expect(closed.map(({ args }) => args[0]).sort()).toEqual(
      opened.map(({ result }) => result).sort(),
    );
  },
);
const OPENS = new Set(['fsopen', 'fsmount', 'openat2']);

test.each(['', 'a\nb', 'a\0b', 'x'.repeat(5000)])('%j is no label', (value) => {
  const recorder = pretended({ modern: true });
  expect(() => setLabel(new Syscalls(recorder), { module: 'apparmor', value })).toThrow(
    expect.objectContaining({ code: 'INVALID_LABEL' }),
  );
  expect(recorder.records).toEqual([]);
});

test('a file mounted over an attribute is not written to', () => {
  const directory = mkdtempSync(join(tmpdir(), 'strata-labels-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const fake = join(directory, 'exec');
  writeFileSync(fake, 'untouched');
  using stub = Stub.spawn();
  const { sys } = stub;
  sys.unshare(CLONE_NEWNS);
  sys.mount({ target: '/', flags: MS_PRIVATE | MS_REC });
  sys.mount({ source: fake, target: `/proc/${stub.pid}/attr/exec`, flags: MS_BIND });
  const before = sys.openat2('/dev/null', { flags: O_PATH });
  sys.close(before);
  // No module takes the label here; what matters is who refuses it.
  expect(() => writeLabel(sys, { module: 'selinux', value: 'strata', kind: 'exec' })).toThrow(
    expect.objectContaining({ syscall: 'write', code: 'EINVAL' }),
  );
  expect(readFileSync(fake, 'utf8')).toBe('untouched');
  const mounted = sys.openat2('/proc', { dirfd: AT_FDCWD, flags: O_PATH | O_DIRECTORY });
  expect(() => openVerified(sys, mounted, `${stub.pid}/attr/exec`)).toThrow(/EXDEV/);
  const own = detachedProc(sys);
  sys.close(openVerified(sys, own, `${stub.pid}/attr/exec`));
  sys.close(own);
  sys.close(mounted);
  expect(sys.openat2('/dev/null', { flags: O_PATH })).toBe(before); // nothing has been left open
});

test('what is not procfs is refused by its type', () => {
  using stub = Stub.spawn();
  const dev = stub.sys.openat2('/dev', { flags: O_PATH | O_DIRECTORY });
  expect(() => openVerified(stub.sys, dev, 'null')).toThrow(/null is not on procfs/);
});

test('labels in words', () => {
  expect(parseLabel(new TextEncoder().encode('docker-default (enforce)\n'))).toBe(
    'docker-default (enforce)',
  );
  expect(parseLabel(Uint8Array.of(0))).toBeUndefined();
  expect(parseAppArmorLabel('a b (x) (enforce)')).toEqual({ profile: 'a b (x)', mode: 'enforce' });
  expect(parseAppArmorLabel('unconfined')).toEqual({ profile: 'unconfined', mode: undefined });
  expect(isConfined('docker-default (enforce)')).toBe(true);
  expect(isConfined('unconfined')).toBe(false);
  expect(isConfined('system_u:system_r:container_t:s0:c1,c2')).toBe(true);
});

test('rubbish in securityfs is no module', () => {
  expect(parseModuleList('capability,yama,apparmor\n')).toEqual(['yama', 'apparmor']);
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const name of parseModuleList(text)) expect(name).toMatch(/^[a-z0-9_-]+$/);
    }),
  );
});
