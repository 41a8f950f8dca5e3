/** Users of an image, with /etc/passwd and /etc/group as honest and as hostile as images have them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { resolveUser } from './user.ts';

const PASSWD = [
  '# people',
  'root:x:0:0:root:/root:/bin/sh',
  'web:x:33:34:,,,:/srv/web:/bin/false',
  'broken:x:4294967296:0::/:',
  'minus:x:-1:0::/:',
  'short:x',
  '1000:x:77:77::/tricky:',
  '',
].join('\n');
const GROUP =
  'root:x:0:\nweb:x:34:\nlog:x:50:web,root\nvideo:x:51:other,web\nhuge:x:99999999999:web\n';

let directory: string;
let rootfs: string;
const etc = (name: string): string => join(rootfs, 'etc', name);
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-user-'));
  rootfs = join(directory, 'rootfs');
  mkdirSync(join(rootfs, 'etc'), { recursive: true });
  writeFileSync(etc('passwd'), PASSWD);
  writeFileSync(etc('group'), GROUP);
});
afterEach(() => rmSync(directory, { recursive: true }));

test.each([
  ['', { uid: 0, gid: 0, additionalGids: [50], name: 'root', home: '/root' }],
  ['web', { uid: 33, gid: 34, additionalGids: [50, 51], name: 'web', home: '/srv/web' }],
  ['33', { uid: 33, gid: 34, additionalGids: [50, 51], name: 'web', home: '/srv/web' }],
  ['web:', { uid: 33, gid: 34, additionalGids: [50, 51], name: 'web', home: '/srv/web' }],
  ['web:video', { uid: 33, gid: 51, additionalGids: [], name: 'web', home: '/srv/web' }],
  ['33:7', { uid: 33, gid: 7, additionalGids: [], name: 'web', home: '/srv/web' }],
  ['4294967294', { uid: 4294967294, gid: 0, additionalGids: [], name: undefined, home: '/' }],
  // A number is an id, whatever the image calls its users.
  ['1000', { uid: 1000, gid: 0, additionalGids: [], name: undefined, home: '/' }],
])('user %j', (user, expected) => {
  expect(resolveUser(rootfs, user)).toEqual(expected);
});

test.each([
  '4294967295',
  '4294967296',
  '18446744073709551616',
  '-1',
  '+0',
  '00000000000',
  '0:4294967295',
  '0:-1',
  'nobody',
  'web:nogroup',
  'broken',
  'minus',
])('user %j is refused: it is nobody, or not who it seems', (user) => {
  expect(() => resolveUser(rootfs, user)).toThrow(
    expect.objectContaining({ code: 'INVALID_USER', field: 'user' }),
  );
});

test('without the files there are only numbers', () => {
  rmSync(join(rootfs, 'etc'), { recursive: true });
  expect(resolveUser(rootfs, '')).toMatchObject({ uid: 0, gid: 0, home: '/root' });
  expect(resolveUser(rootfs, '5:6')).toMatchObject({ uid: 5, gid: 6, additionalGids: [] });
  expect(() => resolveUser(rootfs, 'root')).toThrow('no user "root"');
});

test('links stay inside the root, absolute ones and those that climb', () => {
  const outside = join(directory, 'passwd');
  writeFileSync(outside, 'outsider:x:1:1::/:\n');
  for (const target of [outside, '../../passwd', '../../../../../../etc/passwd']) {
    rmSync(etc('passwd'));
    symlinkSync(target, etc('passwd'));
    expect(() => resolveUser(rootfs, 'outsider')).toThrow();
  }
  rmSync(join(rootfs, 'etc'), { recursive: true });
  symlinkSync(directory, join(rootfs, 'etc'));
  expect(() => resolveUser(rootfs, 'outsider')).toThrow('no user "outsider"');
  rmSync(join(rootfs, 'etc'));
  mkdirSync(join(rootfs, 'usr/etc'), { recursive: true });
  writeFileSync(join(rootfs, 'usr/etc/passwd'), 'insider:x:8:9::/:\n');
  symlinkSync('/usr/etc', join(rootfs, 'etc'));
  expect(resolveUser(rootfs, 'insider')).toMatchObject({ uid: 8, gid: 9 });
});

test('a FIFO is refused at once, as are a directory and a device', () => {
  rmSync(etc('passwd'));
  execFileSync('mkfifo', [etc('passwd')]);
  expect(() => resolveUser(rootfs, '')).toThrow('not a regular file');
  rmSync(etc('passwd'));
  mkdirSync(etc('passwd'));
  expect(() => resolveUser(rootfs, '')).toThrow('not a regular file');
});

test.skipIf(process.getuid?.() !== 0)('a device is refused, and not opened to find out', () => {
  rmSync(etc('passwd'));
  // Character device 10:255 has no driver: opening it would fail with ENXIO or ENODEV.
  execFileSync('mknod', [etc('passwd'), 'c', '10', '255']);
  expect(() => resolveUser(rootfs, '')).toThrow('not a regular file');
  rmSync(etc('passwd'));
  execFileSync('mknod', [etc('passwd'), 'c', '1', '5']);
  expect(() => resolveUser(rootfs, '')).toThrow('not a regular file');
});

test('a file of gigabytes is refused before it is read', () => {
  truncateSync(etc('group'), 2 ** 40);
  const start = performance.now();
  expect(() => resolveUser(rootfs, '')).toThrow(expect.objectContaining({ code: 'INVALID_IMAGE' }));
  expect(performance.now() - start).toBeLessThan(1000);
});
