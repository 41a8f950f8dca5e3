import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cpioArchive } from './cpio.ts';
import { moduleFiles } from './kernel.ts';
import { parseMessage } from './machine.ts';
import { packageClosure, parsePackages, placesOf } from './packages.ts';

const BUSYBOX = '/bin/busybox';

// busybox's cpio reads the format; the package is not on every machine.
test.skipIf(!existsSync(BUSYBOX))('the archive is one that cpio unpacks', () => {
  const directory = mkdtempSync(join(tmpdir(), 'strata-cpio-'));
  try {
    const input = cpioArchive([
      { name: 'bin' },
      { name: 'bin/a', content: Buffer.from('#!/bin/sh\n'), executable: true },
      { name: 'bin/link', target: 'a' },
      { name: 'empty', content: Buffer.alloc(0) },
      { name: 'text', content: Buffer.from('seven b') },
    ]);
    execFileSync(BUSYBOX, ['cpio', '-i'], {
      cwd: directory,
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const script = 'stat -c "%n %A %s" bin bin/a bin/link empty text; readlink bin/link; cat text';
    const found = execFileSync('sh', ['-c', script], { cwd: directory, encoding: 'utf8' });
    expect(found.replace(/^bin drwxr-xr-x \d+\n/, '').split('\n')).toEqual([
      'bin/a -rwxr-xr-x 10',
      'bin/link lrwxrwxrwx 1',
      'empty -rw-r--r-- 0',
      'text -rw-r--r-- 7',
      'a',
      'seven b',
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe('modules', () => {
  const dep = [
    'kernel/a/virtio.ko:',
    'kernel/a/ring.ko: kernel/a/virtio.ko',
    'kernel/b/blk.ko: kernel/a/ring.ko kernel/a/virtio.ko',
    'kernel/b/console.ko: kernel/a/ring.ko kernel/a/virtio.ko',
    '',
  ].join('\n');

  test('are loaded after what they need, each once', () => {
    expect(moduleFiles(dep, ['blk', 'console'])).toEqual([
      'kernel/a/virtio.ko',
      'kernel/a/ring.ko',
      'kernel/b/blk.ko',
      'kernel/b/console.ko',
    ]);
  });

  test('that the kernel does not have are named', () => {
    expect(() => moduleFiles(dep, ['blk', 'nvme'])).toThrow('no module nvme');
  });
});

describe('packages', () => {
  const installed = parsePackages(
    [
      'ii \tbash\t5.2\t\tlibc6 (>= 2.36)\tbase-files (>= 2.1.12), debianutils',
      'ii \tlibc6\t2.36\t\t\tlibgcc-s1',
      'ii \tlibgcc-s1\t12\t\tgcc-12-base\tlibc6 (>= 2.35)',
      'ii \tdbus\t1.14\tdefault-dbus-system-bus (= 1.14), dbus-system-bus\t\tlibc6:any | musl',
      'ii \tpam\t252\t\t\tgone | dbus-system-bus',
      'rc \tgone\t1\t\t\t',
    ].join('\n'),
  );
  const closure = (...names: string[]) => packageClosure(names, installed).map(({ name }) => name);

  test('come with what they depend on, in circles too', () => {
    expect(closure('bash')).toEqual(['bash', 'libc6', 'libgcc-s1']);
  });

  test('that are alternatives, virtual or not installed are understood', () => {
    expect(closure('pam', 'gone', 'unheard-of')).toEqual(['dbus', 'libc6', 'libgcc-s1', 'pam']);
  });
});

test('files are listed where they are, below a directory that is a link', () => {
  const directory = mkdtempSync(join(tmpdir(), 'strata-places-'));
  try {
    mkdirSync(join(directory, 'usr/bin'), { recursive: true });
    symlinkSync('usr/bin', join(directory, 'bin'));
    writeFileSync(join(directory, 'usr/bin/sh'), '');
    const paths = ['bin/sh', 'usr/bin/sh', 'usr/bin/gone'].map((path) => join(directory, path));
    const places = placesOf(paths).filter((path) => path.startsWith(`${directory}/`));
    const expected = ['bin', 'usr', 'usr/bin', 'usr/bin/sh'].map((path) => join(directory, path));
    expect(places).toEqual(expected);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('half a message, or what qemu itself prints, is no message', () => {
  expect(parseMessage('{"kind":"ended","code":3}')).toEqual({ kind: 'ended', code: 3 });
  for (const line of ['{"kind":"output","te', 'null', '3', '{"code":0}', 'qemu: warning', '']) {
    expect(parseMessage(line)).toBeUndefined();
  }
});
