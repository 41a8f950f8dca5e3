import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ContentStore } from './content-store.ts';
import { digestOf, parseDigest } from './digest.ts';

let root: string;
let store: ContentStore;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'strata-content-'));
  store = new ContentStore(root);
});
afterEach(() => rmSync(root, { recursive: true }));

const ingests = (): string[] => readdirSync(join(root, 'content', 'ingest'));

async function* chunksOf(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

test('stores a stream under its digest and reads it back', async () => {
  const blob = await store.ingest(chunksOf('one ', 'two'), {
    digest: digestOf('one two'),
    size: 7,
  });
  expect(blob).toEqual({ digest: digestOf('one two'), size: 7 });
  expect(store.read(blob.digest, 7).toString()).toBe('one two');
  expect(store.list()).toEqual([blob.digest]);
  expect(store.remove(blob.digest)).toBe(true);
  expect(store.remove(blob.digest)).toBe(false);
  expect(ingests()).toEqual([]);
});

test.each([
  ['another digest', { digest: digestOf('x') }, 'DIGEST_MISMATCH'],
  ['fewer bytes', { size: 8 }, 'SIZE_MISMATCH'],
  ['more bytes', { size: 6 }, 'SIZE_MISMATCH'],
])('%s than announced leaves nothing', async (_, expected, code) => {
  await expect(store.ingest(chunksOf('one two'), expected)).rejects.toMatchObject({ code });
  expect(store.list()).toEqual([]);
  expect(ingests()).toEqual([]);
});

test('a blob has the digest it was asked for by, whenever that is known', () => {
  const wanted = digestOf('one two', 'sha512');
  expect(wanted).toMatch(/^sha512:[0-9a-f]{128}$/);
  using early = store.writer({ digest: wanted });
  early.write(Buffer.from('one two'));
  expect(early.commit().digest).toBe(wanted);
  store.remove(wanted);
  using late = store.writer();
  late.write(Buffer.from('one '));
  late.write(Buffer.from('two'));
  expect(late.commit(wanted)).toEqual({ digest: wanted, size: 7 });
  expect(store.read(wanted, 7).toString()).toBe('one two');
  expect(store.list()).toEqual([wanted]);
  using wrong = store.writer();
  expect(() => wrong.commit(wanted)).toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH' }));
});

test('a stream that fails leaves nothing', async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one');
    throw new Error('connection reset');
  }
  await expect(store.ingest(failing())).rejects.toThrow('connection reset');
  expect(ingests()).toEqual([]);
});

test('notices a blob that was changed on disk, and one that is too large', () => {
  const { digest } = store.add('content');
  expect(() => store.read(digest, 3)).toThrow(expect.objectContaining({ code: 'BLOB_TOO_LARGE' }));
  writeFileSync(store.path(digest), 'contents');
  expect(() => store.read(digest, 100)).toThrow(
    expect.objectContaining({ code: 'DIGEST_MISMATCH' }),
  );
});

test('a killed writer leaves one file, which the next start removes; a living one keeps its', async () => {
  const program = `
    import { ContentStore } from ${JSON.stringify(join(import.meta.dirname, 'content-store.ts'))};
    const store = new ContentStore(${JSON.stringify(root)});
    store.writer().write(Buffer.from('half'));
    console.log('written');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  expect(ingests()).toHaveLength(1);
  new ContentStore(root);
  expect(ingests()).toHaveLength(1);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  expect(ingests()).toHaveLength(1);
  new ContentStore(root);
  expect(ingests()).toEqual([]);
});

test.each([
  '',
  'sha256:',
  'sha256:../../etc',
  `sha256:${'A'.repeat(64)}`,
  `sha512:${'a'.repeat(64)}`,
  `sha384:${'a'.repeat(96)}`,
  7,
])('refuses %j as a digest', (text) => {
  expect(() => parseDigest(text, 'layers[0].digest')).toThrow(/layers\[0\]\.digest: not a digest/);
});
