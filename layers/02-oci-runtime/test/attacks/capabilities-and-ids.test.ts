/**
 * Processes that have more than was meant.
 *
 *   CVE-2022-29162, CVE-2022-27650, CVE-2025-27612   runc, crun, youki   a non-empty inheritable set: a
 *                    program with inheritable file capabilities gets them back
 *   CVE-2026-30892   crun         `exec -u 1` is taken for 0:0
 *   CVE-2024-40635   containerd   a uid that overflows is root
 *   CVE-2026-46680   containerd   a number that is too large is looked for as a name in the image's passwd
 *   CVE-2023-25173   containerd   supplementary groups that are not those of the configuration
 *   CVE-2024-9676    containers   /etc/passwd of the image is a FIFO, and whoever reads it waits
 *
 * Here the sets are set to what the configuration says, and what it does not say is empty. Ids are
 * numbers within 32 bits less -1, which setresuid(2) takes for "as it is". Nothing is ever looked up in
 * the image.
 */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { localSyscalls, Stub } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import { hasBusybox } from '../bundle.ts';
import { AttackTests } from './attack-tests.ts';

const tests = new AttackTests();
const MAIN = join(import.meta.dirname, '../../src/main.ts');
const TOO_LARGE = [2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53, -1, 1.5];

/** `strata-oci exec` in the running container. */
function exec(...args: string[]): string {
  const command = [MAIN, '--root', tests.bundle.state, 'exec', ...args];
  const { stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  return stdout + stderr;
}

describe.skipIf(!hasBusybox)('capabilities', () => {
  test('CVE-2022-29162, CVE-2022-27650, CVE-2025-27612: inheritable is what was said: nothing', () => {
    const script = 'grep -E "CapInh|CapAmb" /proc/self/status';
    const none = 'CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n';
    expect(tests.shell(script)).toBe(none);
    tests.start();
    tests.bundle.write(tests.bundle.spec(['true']));
    expect(exec('test', 'sh', '-c', script)).toBe(none);
    expect(exec('-u', '1', 'test', 'sh', '-c', script)).toBe(none);
  });

  test('CVE-2022-29162: the control, an inheritable set that the caller has is inherited', () => {
    using stub = Stub.spawn();
    const { sys } = stub;
    const { effective, permitted } = sys.capget();
    sys.capset({ effective, permitted, inheritable: permitted });
    using child = stub.clone({ flags: 0 });
    expect(child.sys.capget().inheritable).toBe(permitted);
  });
});

describe.skipIf(!hasBusybox)('users', () => {
  test.each([
    ['1', 'uid=1 gid=0'],
    ['1:2', 'uid=1 gid=2'],
    ['0:7', 'uid=0 gid=7'],
  ])('CVE-2026-30892: exec -u %s is %s', (user, expected) => {
    tests.start();
    tests.bundle.write(tests.bundle.spec(['true']));
    expect(exec('-u', user, 'test', 'id').replace(/\([^)]*\)/g, '')).toContain(expected);
  });

  test('CVE-2024-40635, CVE-2026-46680: what is no user is not root either', () => {
    tests.start();
    tests.bundle.write(tests.bundle.spec(['true']));
    writeFileSync(tests.inRoot('etc/passwd'), '4294967296:x:0:0::/:/bin/sh\n');
    for (const user of ['4294967295', '4294967296', '', '1:2:3', 'root']) {
      expect(exec(`--user=${user}`, 'test', 'id')).toMatch(/--user: not UID/);
    }
  });

  test.each(TOO_LARGE)('CVE-2024-40635: %d is refused as a uid, gid or group', (id) => {
    for (const user of [
      { uid: id, gid: 0 },
      { uid: 0, gid: id },
      { uid: 0, gid: 0, additionalGids: [id] },
    ]) {
      const create = () =>
        tests.attempt(
          ({ process }) => (process!.user = user),
          () => {},
        );
      expect(create).toThrow(/process\.user\.(uid|gid|additionalGids\[0\])/);
    }
  });

  test('CVE-2024-40635: the control, -1 leaves a process root', () => {
    using stub = Stub.spawn();
    stub.sys.setresuid(2 ** 32 - 1);
    expect(stub.sys.call('getuid')).toBe(0);
  });

  test('CVE-2023-25173: groups are those of the configuration, not ours', () => {
    const script = 'grep Groups /proc/self/status';
    expect(tests.shell(script).trim()).toBe('Groups:');
    tests.start(({ process }) => {
      process!.user = { uid: 5, gid: 6, additionalGids: [7, 8] };
    });
    const spec = tests.bundle.spec(['true'], ({ process }) => {
      process!.user = { uid: 5, gid: 6, additionalGids: [7, 8] };
    });
    tests.bundle.write(spec);
    expect(exec('test', 'sh', '-c', script)).toMatch(/^Groups:\t7 8 *\n$/);
  });

  test('CVE-2024-9676: a passwd that is a FIFO keeps nobody waiting', () => {
    for (const name of ['etc/passwd', 'etc/group']) {
      rmSync(tests.inRoot(name), { force: true });
      localSyscalls().mknodat(-100, tests.inRoot(name), 0o010644, 0);
    }
    expect(tests.shell('echo made')).toBe('made\n');
  });
});
