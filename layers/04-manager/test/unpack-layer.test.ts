/** Layers as archives, honest and hostile, and what they become on a real file system. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { localSyscalls, mountOverlay, unmountAll } from '@strata/namespaces';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Digest, digestOf } from '../src/content/digest.ts';
import type { Compression } from '../src/layers/layer-media.ts';
import { type UnpackLimits, unpackLayer } from '../src/layers/unpack-layer.ts';

type PackHeader = Parameters<ReturnType<typeof pack>['entry']>[0];
type Item = PackHeader & { content?: string };

let scratch: string;
let outside: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'strata-unpack-'));
  outside = join(scratch, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret');
});
afterEach(() => {
  expect(readdirSync(outside)).toEqual(['secret']);
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
  expect(lstatSync(join(outside, 'secret')).mode & 0o7777).toBe(0o644);
  rmSync(scratch, { recursive: true });
});

const mtime = new Date(1_000_000_000_000);

async function archiveOf(items: readonly Item[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of items) {
    if (content === undefined) archive.entry({ mtime, ...header }, Buffer.alloc(0));
    else archive.entry({ mtime, ...header }, content);
  }
  archive.finalize();
  return buffer(archive as unknown as AsyncIterable<Buffer>);
}

interface How {
  lowers?: string[];
  compression?: Compression;
  limits?: Partial<UnpackLimits>;
  diffId?: Digest;
}

let layers = 0;
/** Unpacks an archive and returns the directory it is in. */
async function unpackBytes(bytes: Uint8Array, diffId: Digest, how: How = {}): Promise<string> {
  layers += 1;
  const target = join(scratch, `layer-${layers}`);
  mkdirSync(target);
  const blob = join(scratch, `blob-${layers}`);
  writeFileSync(blob, bytes);
  const { lowers = [], compression = 'none', limits = {} } = how;
  await unpackLayer({ blobFd: openSync(blob, 'r'), compression, target, lowers, diffId, limits });
  return target;
}

async function unpack(items: readonly Item[], how: How = {}): Promise<string> {
  const bytes = await archiveOf(items);
  return unpackBytes(bytes, how.diffId ?? digestOf(bytes), how);
}

const file = (name: string, content = name): Item => ({ name, content });
const directory = (name: string, mode = 0o755): Item => ({ name, mode, type: 'directory' });
const symlink = (name: string, linkname: string): Item => ({ name, linkname, type: 'symlink' });
const hardlink = (name: string, linkname: string): Item => ({ name, linkname, type: 'link' });

const text = (path: string): string => readFileSync(path, 'utf8');

/** The files of stacked layers as a container sees them. */
function merged<T>(lowers: readonly string[], look: (target: string) => T): T {
  const [upper, work, target] = ['upper', 'work', 'merged'].map((name) => {
    const path = join(scratch, `${name}-${layers}`);
    mkdirSync(path, { recursive: true });
    return path;
  });
  mountOverlay({ lowers, upper: upper!, work: work! }, target!);
  try {
    return look(target!);
  } finally {
    unmountAll(target!);
  }
}

test.each<[Compression, (bytes: Uint8Array) => Uint8Array]>([
  ['none', (bytes) => bytes],
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
])('%s: all kinds of entries with all their attributes', async (compression, compress) => {
  const items: Item[] = [
    { ...directory('./', 0o750), uid: 7, gid: 8 },
    directory('d', 0o1777),
    { ...file('d/su', 'setuid'), mode: 0o4755, uid: 1000, gid: 1001 },
    symlink('d/link', '../../outside/secret'),
    hardlink('d/hard', 'd/su'),
    { name: 'fifo', type: 'fifo', mode: 0o640 },
    { name: 'null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
    { name: 'big', type: 'block-device', devmajor: 259, devminor: 70000, mode: 0o600 },
    { ...file('capable'), pax: { 'SCHILY.xattr.user.note': 'hello', mtime: '1.000000005' } },
    file(`${'long/'.repeat(60)}name`),
  ];
  const bytes = await archiveOf(items);
  const target = await unpackBytes(compress(bytes), digestOf(bytes), { compression });
  const at = (name: string) => lstatSync(join(target, name), { bigint: true });
  expect(at('.')).toMatchObject({ mode: 0o40750n, uid: 7n, gid: 8n });
  expect(at('d')).toMatchObject({ mode: 0o41777n, mtimeMs: 1_000_000_000_000n });
  expect(at('d/su')).toMatchObject({ mode: 0o104755n, uid: 1000n, gid: 1001n, nlink: 2n });
  expect(at('d/hard').ino).toBe(at('d/su').ino);
  expect(readlinkSync(join(target, 'd/link'))).toBe('../../outside/secret');
  expect(at('fifo').mode).toBe(0o10640n);
  expect(at('null')).toMatchObject({ mode: 0o20666n, rdev: 0x103n });
  expect(localSyscalls().statx(-100, join(target, 'big'))).toMatchObject({
    rdevMajor: 259,
    rdevMinor: 70000,
  });
  expect(at('capable').mtimeNs).toBe(1_000_000_005n);
  const note = localSyscalls().lgetxattr(join(target, 'capable'), 'user.note');
  expect(Buffer.from(note!).toString()).toBe('hello');
  expect(text(join(target, 'long/'.repeat(60), 'name'))).toContain('long/name');
});

test('binary attributes keep every byte', async () => {
  // Version 2, CAP_SETUID (bit 7): the byte 0x80 is no UTF-8.
  const value = Buffer.from('0100000280000000000000000000000000000000', 'hex');
  const record = Buffer.concat([
    Buffer.from(' SCHILY.xattr.security.capability='),
    value,
    Buffer.from('\n'),
  ]);
  const length = record.length + 2;
  const bytes = await archiveOf([{ ...file('p', 'x'), pax: { marker: 'M'.repeat(length - 11) } }]);
  // The pax header's one record is replaced by ours, which is as long.
  Buffer.concat([Buffer.from(`${length}`), record]).copy(bytes, bytes.indexOf(' marker=') - 2);
  const target = await unpackBytes(bytes, digestOf(bytes));
  const found = localSyscalls().lgetxattr(join(target, 'p'), 'security.capability');
  expect(Buffer.from(found!).toString('hex')).toBe(value.toString('hex'));
});

test("overlayfs's own attributes and labels are not taken over", async () => {
  const pax = Object.fromEntries(
    ['trusted.overlay.redirect', 'user.overlay.opaque', 'security.selinux'].map((name) => [
      `SCHILY.xattr.${name}`,
      '/outside',
    ]),
  );
  const target = await unpack([{ ...directory('d'), pax }]);
  for (const key of Object.keys(pax)) {
    const name = key.replace('SCHILY.xattr.', '');
    expect(localSyscalls().lgetxattr(join(target, 'd'), name)).toBeUndefined();
  }
});

test('whiteouts hide what is below, in whatever order they come', async () => {
  const lower = await unpack([
    ...['a', 'b', 'c', 'e'].flatMap((name) => [directory(name), file(`${name}/old`)]),
    file('gone'),
    file('kept'),
  ]);
  const upper = await unpack(
    [
      file('.wh.gone', ''),
      directory('a'),
      file('a/new'),
      file('a/.wh..wh..opq', ''),
      file('.wh.b', ''),
      directory('b'),
      file('b/new'),
      directory('c'),
      file('c/new'),
      file('.wh.c', ''),
      file('e/.wh.old', ''),
      file('.wh..wh.plnk', ''),
    ],
    { lowers: [lower] },
  );
  merged([upper, lower], (target) => {
    expect(readdirSync(target).sort()).toEqual(['a', 'b', 'c', 'e', 'kept']);
    for (const name of ['a', 'b', 'c']) expect(readdirSync(join(target, name))).toEqual(['new']);
    expect(readdirSync(join(target, 'e'))).toEqual([]);
  });
  const lowest = await unpack([file('.wh.gone', ''), file('kept')]);
  expect(readdirSync(lowest)).toEqual(['kept']);
});

test('a directory that only lower layers have is like theirs, and a link there is followed', async () => {
  const lower = await unpack([
    { ...directory('tmp', 0o1777), gid: 5 },
    directory('usr'),
    directory('usr/bin', 0o711),
    symlink('bin', 'usr/bin'),
    symlink('absolute', '/usr/bin'),
    symlink('up', '../../../../usr'),
    file('usr/bin/old'),
  ]);
  const upper = await unpack(
    [file('tmp/x'), file('bin/new'), file('absolute/too'), file('up/bin/three'), file('fresh/x')],
    { lowers: [lower] },
  );
  expect(lstatSync(join(upper, 'tmp'))).toMatchObject({ mode: 0o41777, gid: 5, mtime });
  expect(lstatSync(join(upper, 'fresh'))).toMatchObject({ mode: 0o40755 });
  merged([upper, lower], (target) => {
    expect(readdirSync(join(target, 'bin')).sort()).toEqual(['new', 'old', 'three', 'too']);
    expect(lstatSync(join(target, 'bin')).isSymbolicLink()).toBe(true);
    expect(lstatSync(join(target, 'usr/bin')).mode & 0o7777).toBe(0o711);
  });
});

test('a later entry replaces an earlier one', async () => {
  const target = await unpack([
    directory('d'),
    file('d/x'),
    file('d', 'now a file'),
    symlink('l', 'd'),
    directory('l'),
    file('l/y'),
    file('f', '1'),
    hardlink('f', 'f'),
    file('f', '2'),
  ]);
  expect(text(join(target, 'd'))).toBe('now a file');
  expect(text(join(target, 'l/y'))).toBe('l/y');
  expect(text(join(target, 'f'))).toBe('2');
});

test.each<[string, Item[]]>([
  ['a link and a file through it', [symlink('l', '/OUTSIDE'), file('l/secret', 'stolen')]],
  ['a relative link', [symlink('l', '../outside'), file('l/secret', 'stolen')]],
  [
    'a link in a directory',
    [directory('d'), symlink('d/l', '../../outside'), file('d/l/secret', 'x')],
  ],
  ['links in a chain', [symlink('a', 'b'), symlink('b', '/OUTSIDE'), file('a/secret', 'x')]],
  [
    'a link swapped in for a directory',
    [directory('d'), file('d/x'), symlink('d', '/OUTSIDE'), file('d/secret', 'x')],
  ],
  ['a file that is a link', [symlink('f', '/OUTSIDE/secret'), file('f', 'stolen')]],
  ['a mode through a link', [symlink('f', '/OUTSIDE'), { ...directory('f'), mode: 0o777 }]],
  ['a hard link through a link', [symlink('l', '/OUTSIDE'), hardlink('h', 'l/secret')]],
  ['a hard link to a link', [symlink('l', '/OUTSIDE/secret'), hardlink('h', 'l'), file('h', 'x')]],
  ['an absolute hard link', [hardlink('h', '/OUTSIDE/secret'), file('h', 'x')]],
  ['an absolute path', [file('/OUTSIDE/secret', 'x')]],
  ['dots', [file('../outside/secret', 'x')]],
  ['dots inside', [directory('d'), file('d/../../outside/secret', 'x')]],
  ['a whiteout of ..', [directory('d'), file('d/.wh...', '')]],
  ['a whiteout of the directory', [directory('d'), file('d/.wh..', '')]],
  ['a whiteout through a link', [symlink('l', '/OUTSIDE'), file('l/.wh.secret', '')]],
  ['an opaque whiteout through a link', [symlink('l', '/OUTSIDE'), file('l/.wh..wh..opq', '')]],
  ['a magic link', [symlink('l', '/proc/self/root/OUTSIDE'), file('l/secret', 'x')]],
])('%s stays inside', async (_, items) => {
  const here = (name: string): string => name.replace('/OUTSIDE', outside);
  const hostile = items.map((item) => ({
    ...item,
    name: here(item.name),
    ...(item.linkname && { linkname: here(item.linkname) }),
  }));
  const lower = await unpack([directory('d'), file('d/x')]);
  for (const lowers of [[], [lower]]) {
    // Refused or kept inside: afterEach looks at what is outside.
    const error = await unpack(hostile, { lowers }).catch((reason: unknown) => reason);
    if (error instanceof Error) expect(error.message).toMatch(/^layer entry "/);
  }
});

test('random archives of links and files never leave their directory', async () => {
  const name = fc
    .array(fc.constantFrom('a', 'b', '.', '.wh.a', '.wh..wh..opq'), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join('/'));
  const link = fc.constantFrom('a', '../b', '../../outside', '/', 'b/a', '.', '..', 'a/../..');
  const item = fc.oneof(
    name.map((path) => file(path, 'x')),
    name.map((path) => directory(path)),
    fc.tuple(name, link).map(([path, target]) => symlink(path, target)),
    fc.tuple(name, name).map(([path, target]) => hardlink(path, target)),
  );
  const lower = await unpack([directory('a'), symlink('a/b', '../../outside'), symlink('b', '/a')]);
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 8 }), fc.boolean(), async (items, isUpper) => {
      try {
        await unpack(items, { lowers: isUpper ? [lower] : [] });
      } catch (error) {
        expect(error).toHaveProperty('message', expect.stringMatching(/^layer entry "/));
      }
      expect(readdirSync(outside)).toEqual(['secret']);
    }),
    { numRuns: 60 },
  );
});

test('archives that are too much are refused while they come', async () => {
  const zeros = 'x'.repeat(1 << 20);
  const code = 'LAYER_TOO_LARGE';
  await expect(unpack([file('f', zeros)], { limits: { bytes: 1000 } })).rejects.toMatchObject({
    code,
  });
  const many = Array.from({ length: 20 }, (_, index) => file(`f${index}`));
  await expect(unpack(many, { limits: { entries: 10 } })).rejects.toMatchObject({ code });
});

test.each<[string, (bytes: Buffer) => Uint8Array, Compression, RegExp]>([
  ['cut off', (bytes) => bytes.subarray(0, 700), 'none', /cannot be read/],
  ['cut off and compressed', (bytes) => gzipSync(bytes).subarray(0, -20), 'gzip', /cannot be read/],
  ['not compressed as announced', (bytes) => bytes, 'gzip', /cannot be read/],
  ['no archive', () => Buffer.from('x'.repeat(5000)), 'none', /cannot be read/],
  ['damaged', (bytes) => bytes.fill(1, 300, 310), 'none', /cannot be read/],
])('an archive that is %s is refused', async (_, change, compression, message) => {
  const bytes = await archiveOf([file('f', 'x'.repeat(2000))]);
  const diffId = digestOf(bytes);
  await expect(unpackBytes(change(bytes), diffId, { compression })).rejects.toThrow(message);
});

test('content that is not what the configuration says is refused', async () => {
  await expect(unpack([file('f')], { diffId: digestOf('other') })).rejects.toMatchObject({
    code: 'DIGEST_MISMATCH',
  });
});

test('the lower layers are never written to', async () => {
  const lower = await unpack([directory('d'), file('d/f', 'lower'), symlink('l', 'd')]);
  symlinkSync(outside, join(lower, 'out'));
  await unpack([file('d/f', 'upper'), file('l/g'), file('out/h')], { lowers: [lower] });
  expect(text(join(lower, 'd/f'))).toBe('lower');
  expect(readdirSync(join(lower, 'd'))).toEqual(['f']);
  expect(existsSync(join(outside, 'h'))).toBe(false);
});
