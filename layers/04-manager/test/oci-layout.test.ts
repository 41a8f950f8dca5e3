/** Layouts that go out and come in again, also through skopeo, and layouts that lie. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestHex, digestOf } from '../src/content/digest.ts';
import type { Image } from '../src/images/image.ts';
import { Images } from '../src/images/images.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../src/images/manifest.ts';
import { openState, type StateDatabase } from '../src/state/state-database.ts';

let scratch: string;
let states: StateDatabase[];
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'strata-layout-'));
  states = [];
});
afterEach(() => {
  for (const state of states) state.close();
  rmSync(scratch, { recursive: true });
});

function store(name: string): Images {
  const root = join(scratch, name);
  const state = openState(join(root, 'state.db'));
  states.push(state);
  return Images.open({ root, state });
}

async function exported(location: string): Promise<Image> {
  const images = store('from');
  const image = await images.fromHost('tools:v1', ['ls']);
  await images.export('tools:v1', location);
  return image;
}

const hasSkopeo = spawnSync('skopeo', ['--version']).status === 0;

test.each(['oci', 'oci-archive'])(
  '%s: what is exported is imported as the same image',
  async (kind) => {
    const image = await exported(`${kind}:${scratch}/out`);
    const into = store('into');
    const [imported] = await into.import(join(scratch, 'out'));
    expect(imported).toEqual(image);
    const [renamed] = await into.import(`${kind}:${scratch}/out`, { name: 'other' });
    expect(renamed?.tags).toContain('docker.io/library/other:latest');
    await expect(into.export('other', `${kind}:${scratch}/out`)).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    expect(readdirSync(scratch).sort()).toEqual(['from', 'into', 'out']);
  },
);

test.skipIf(!hasSkopeo)('skopeo reads our archive, and we read what it writes', async () => {
  const image = await exported(`oci-archive:${scratch}/ours.tar`);
  const copy = ['copy', '-q', '--insecure-policy', `oci-archive:${scratch}/ours.tar`];
  execFileSync('skopeo', [...copy, `oci:${scratch}/theirs:v2`]);
  execFileSync('skopeo', [...copy, `oci-archive:${scratch}/theirs.tar:v2`]);
  for (const [index, location] of ['theirs', 'theirs.tar'].entries()) {
    const images = store(`into-${index}`);
    await expect(images.import(join(scratch, location))).rejects.toThrow('does not say the name');
    const [imported] = await images.import(join(scratch, location), { name: 'mine:v2' });
    expect(imported?.id).toBe(image.id);
    const rootfs = await images.prepareRootfs('c', 'mine:v2');
    expect(readdirSync(rootfs.lowers[0]!)).toContain('etc');
  }
});

/** A layout whose index.json and blobs are as given. */
function forged(index: unknown, blobs: readonly string[] = []): string {
  const path = join(scratch, 'forged');
  cpSync(join(scratch, 'out'), path, { recursive: true });
  for (const blob of blobs) {
    writeFileSync(join(path, 'blobs', 'sha256', digestHex(digestOf(blob))), blob);
  }
  writeFileSync(
    join(path, 'index.json'),
    typeof index === 'string' ? index : JSON.stringify(index),
  );
  return path;
}

const descriptor = (text: string, mediaType: string): object => ({
  mediaType,
  digest: digestOf(text),
  size: Buffer.byteLength(text),
});
const index = (...manifests: unknown[]): object => ({ schemaVersion: 2, manifests });
const manifest = (fields: object): string =>
  JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, ...fields });
const CONFIG = 'application/vnd.oci.image.config.v1+json';

/** An index that refers to an index that refers to ... */
function nested(depth: number): { top: object; blobs: string[] } {
  const blobs: string[] = [];
  let below = descriptor('{}', OCI_MANIFEST);
  for (let level = 0; level < depth; level += 1) {
    const text = JSON.stringify({ ...index(below), mediaType: OCI_INDEX, level });
    blobs.push(text);
    below = descriptor(text, OCI_INDEX);
  }
  return { top: index(below), blobs };
}

const emptyLayers = manifest({ config: descriptor('{}', CONFIG), layers: [] });
const ambiguous = manifest({ config: descriptor('{}', CONFIG), layers: [], manifests: [] });
const artifact = manifest({ config: descriptor('{}', 'application/x'), layers: [] });
const noLayers = manifest({ config: descriptor('{}', CONFIG) });
const wrongType = manifest({ mediaType: OCI_INDEX });
const deep = nested(10);
const list = (text: string): object => index(descriptor(text, OCI_MANIFEST));

test.each<[string, unknown, string[], RegExp]>([
  ['no JSON', '{', [], /manifest is not JSON/],
  ['a list', [], [], /manifest is a list, an object is needed/],
  ['another version', { schemaVersion: 1, manifests: [] }, [], /schemaVersion is 1, not 2/],
  ['no images', index(), [], /has no image in it/],
  ['too many images', index(...Array(2000).fill(0)), [], /has 2000 elements, at most 1000/],
  [
    'a digest with a path',
    index({ mediaType: OCI_MANIFEST, size: 1, digest: 'sha256:../../x' }),
    [],
    /index.manifests\[0\].digest: not a digest/,
  ],
  [
    'a negative size',
    index({ mediaType: OCI_MANIFEST, size: -1, digest: digestOf('') }),
    [],
    /size is -1/,
  ],
  ['a manifest that is not there', list('gone'), [], /has no file blobs\/sha256/],
  [
    'a manifest too large',
    index({ mediaType: OCI_MANIFEST, size: 1e9, digest: digestOf('') }),
    [],
    /over 4194304/,
  ],
  [
    'a wrong size',
    index({ ...list('x'), mediaType: OCI_MANIFEST, size: 3, digest: digestOf('four') }),
    ['four'],
    /more than the 3 bytes/,
  ],
  ['deep nesting', deep.top, deep.blobs, /indexes more than 4 deep/],
  ['a manifest that is also an index', list(ambiguous), [ambiguous], /has a field manifests/],
  ['a manifest announced as something else', list(wrongType), [wrongType], /was announced as/],
  ['a manifest without layers', list(noLayers), [noLayers], /layers is missing, a list is needed/],
  ['an artifact', list(artifact), [artifact], /this is no container image/],
  ['an empty configuration', list(emptyLayers), [emptyLayers, '{}'], /rootfs is missing/],
])('a layout with %s is refused, and nothing is stored', async (_, forgedIndex, blobs, message) => {
  await exported(`oci:${scratch}/out`);
  const images = store('into');
  await expect(images.import(forged(forgedIndex, blobs), { name: 'x' })).rejects.toThrow(message);
  expect(images.list()).toEqual([]);
  expect(images.content.list()).toEqual([]);
  expect(images.snapshots.list()).toEqual([]);
});

test('a blob that was changed is refused', async () => {
  const image = await exported(`oci:${scratch}/out`);
  const manifestText = readFileSync(
    join(scratch, 'out/blobs/sha256', digestHex(image.manifest)),
    'utf8',
  );
  const { layers } = JSON.parse(manifestText);
  const path = join(scratch, 'out/blobs/sha256', digestHex(layers[0].digest));
  const bytes = readFileSync(path);
  bytes[1000]! ^= 1;
  writeFileSync(path, bytes);
  const images = store('into');
  await expect(images.import(`oci:${scratch}/out`)).rejects.toMatchObject({
    code: 'DIGEST_MISMATCH',
  });
  expect(images.content.list()).toEqual([]);
});

test('what is no layout is named', async () => {
  const images = store('into');
  await expect(images.import(join(scratch, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  writeFileSync(join(scratch, 'text'), 'x'.repeat(2000));
  await expect(images.import(join(scratch, 'text'))).rejects.toThrow('is no tar archive');
  await expect(images.import(scratch)).rejects.toThrow('has no file oci-layout');
  await expect(images.import('/dev/null')).rejects.toThrow('is no regular file');
});
