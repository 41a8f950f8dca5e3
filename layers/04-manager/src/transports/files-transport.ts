/**
 * Images in files: oci:, oci-archive: and dir:.
 *
 *   oci:PATH       oci-layout, index.json, blobs/<algorithm>/<hex>   more images may be in it
 *   dir:PATH       version, manifest.json, <hex>.manifest.json, <hex>
 *
 * What is written is verified, and has its name when it is whole; an index is replaced at once.
 */
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import { BlobWriter, openLocked } from '../content/blob-writer.ts';
import { algorithmOf, digestHex, digestOf, layoutPath } from '../content/digest.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { jsonObject, optionalString, parseJson } from '../images/json-fields.ts';
import { MAX_MANIFEST_BYTES, OCI_INDEX, OCI_MANIFEST, parseManifest } from '../images/manifest.ts';
import { CONTAINERD_NAME, REF_NAME } from '../oci-layout/import-layout.ts';
import { invalidLayout } from '../oci-layout/invalid-layout.ts';
import { type LayoutSource, openLayout } from '../oci-layout/layout-source.ts';
import { packDirectory, syncFile } from '../oci-layout/write-archive.ts';
import type { ManifestDocument } from '../registry/registry-client.ts';
import type { ImageDestination, ImageSource } from './transport.ts';

const MARKER = JSON.stringify({ imageLayoutVersion: '1.0.0' });
const DIRECTORY_VERSION = 'Directory Transport Version: 1.1\n';

/** The image of a layout that has this tag or name; without one, the only one. */
export class LayoutImageSource implements ImageSource {
  readonly #layout: LayoutSource;
  readonly #target: Descriptor;

  private constructor(layout: LayoutSource, target: Descriptor) {
    this.#layout = layout;
    this.#target = target;
  }

  /** @throws {StrataError} INVALID_LAYOUT */
  static async open(path: string, name: string | undefined): Promise<LayoutImageSource> {
    const layout = await openLayout(path);
    try {
      return new LayoutImageSource(layout, chooseTarget(layout, name));
    } catch (error) {
      layout[Symbol.dispose]();
      throw error;
    }
  }

  async manifest(below: Descriptor = this.#target): Promise<ManifestDocument> {
    const bytes = this.#layout.file(layoutPath(below.digest));
    const found = digestOf(bytes, algorithmOf(below.digest));
    if (found !== below.digest) {
      throw new StrataError(
        'DIGEST_MISMATCH',
        `${below.digest} in ${this.#layout.path} is ${found}`,
      );
    }
    const { mediaType, digest } = below;
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
  }

  blob({ digest }: Descriptor): AsyncIterable<Uint8Array> {
    return this.#layout.blob(digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#layout[Symbol.dispose]();
  }
}

function chooseTarget(layout: LayoutSource, name: string | undefined): Descriptor {
  const index = parseManifest(layout.file('index.json'), OCI_INDEX);
  if (index.kind !== 'index') throw invalidLayout(layout.path, 'has no index in index.json');
  const names = ({ annotations = {} }: Descriptor): string[] =>
    [annotations[REF_NAME], annotations[CONTAINERD_NAME]].filter((each) => each !== undefined);
  const fitting =
    name === undefined
      ? index.manifests
      : index.manifests.filter((each) => names(each).includes(name));
  if (fitting.length === 1) return fitting[0]!;
  const hint = `it has ${index.manifests.flatMap(names).slice(0, 20).join(', ') || 'no names'}`;
  const what = name === undefined ? 'images' : `images named ${name}`;
  throw invalidLayout(layout.path, `has ${fitting.length} ${what}, not one`, hint);
}

/** Writes blobs below a directory, verified. */
class VerifiedFiles {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  has({ digest, size }: Descriptor): boolean {
    return statSync(join(this.root, layoutPath(digest)), { throwIfNoEntry: false })?.size === size;
  }

  async put(descriptor: Descriptor, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    mkdirSync(dirname(join(this.root, layoutPath(descriptor.digest))), { recursive: true });
    using writer = new BlobWriter({
      content: this.root,
      file: openLocked(this.root),
      expected: descriptor,
    });
    for await (const chunk of chunks) writer.write(chunk);
    writer.commit();
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A layout that may have other images in it. */
export class LayoutDestination implements ImageDestination {
  readonly #files: VerifiedFiles;
  readonly #name: string | undefined;

  constructor(path: string, name: string | undefined) {
    if (existsSync(path) && !existsSync(join(path, 'oci-layout'))) {
      throw new StrataError('ALREADY_EXISTS', `${path} is there, and is no image layout`, { path });
    }
    mkdirSync(path, { recursive: true });
    this.#files = new VerifiedFiles(path);
    this.#name = name;
  }

  async has(descriptor: Descriptor): Promise<boolean> {
    return this.#files.has(descriptor);
  }

  put(descriptor: Descriptor, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    return this.#files.put(descriptor, open());
  }

  putManifest({ descriptor, bytes }: ManifestDocument): Promise<void> {
    return this.#files.put(descriptor, once(bytes));
  }

  async commit({ descriptor }: ManifestDocument): Promise<void> {
    const { root } = this.#files;
    replaceFile(join(root, 'oci-layout'), MARKER);
    const path = join(root, 'index.json');
    const others = existsSync(path) ? this.#others(readFileSync(path)) : [];
    const annotations = this.#name === undefined ? {} : { annotations: { [REF_NAME]: this.#name } };
    const manifests = [...others, { ...descriptor, ...annotations }];
    replaceFile(path, JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
  }

  /** The images that stay: all but that of our name. */
  #others(bytes: Buffer): Descriptor[] {
    const index = parseManifest(bytes, OCI_INDEX);
    if (index.kind !== 'index') return [];
    return index.manifests.filter(({ annotations }) => annotations?.[REF_NAME] !== this.#name);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A layout that is packed when it is whole. */
export class LayoutArchiveDestination extends LayoutDestination {
  readonly #path: string;
  readonly #staging: string;

  constructor(path: string, name: string | undefined) {
    if (existsSync(path)) {
      throw new StrataError('ALREADY_EXISTS', `${path} is there already`, { path });
    }
    const staging = `${path}.strata-${process.pid}`;
    super(staging, name);
    this.#path = path;
    this.#staging = staging;
  }

  override async commit(target: ManifestDocument): Promise<void> {
    await super.commit(target);
    await packDirectory(this.#staging, this.#path);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#staging, { recursive: true, force: true });
  }
}

/** dir: a directory as skopeo has it. */
export class DirectorySource implements ImageSource {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async manifest(below?: Descriptor): Promise<ManifestDocument> {
    const name = below ? `${digestHex(below.digest)}.manifest.json` : 'manifest.json';
    const path = join(this.#path, name);
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined || size > MAX_MANIFEST_BYTES) {
      throw invalidLayout(
        this.#path,
        size === undefined ? `has no file ${name}` : `has a ${name} of ${size} bytes`,
      );
    }
    const bytes = readFileSync(path);
    const digest = digestOf(bytes, below && algorithmOf(below.digest));
    if (below && digest !== below.digest) {
      throw new StrataError('DIGEST_MISMATCH', `${path} has the digest ${digest}`, { path });
    }
    const own = jsonObject(parseJson(bytes, name), name);
    const mediaType =
      below?.mediaType ?? optionalString(own.mediaType, 'mediaType') ?? OCI_MANIFEST;
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
  }

  blob({ digest }: Descriptor): AsyncIterable<Uint8Array> {
    return createReadStream(join(this.#path, digestHex(digest)), { highWaterMark: 1 << 18 });
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

export class DirectoryDestination implements ImageDestination {
  readonly #files: VerifiedFiles;
  readonly #path: string;

  constructor(path: string) {
    if (existsSync(path) && !existsSync(join(path, 'version'))) {
      throw new StrataError('ALREADY_EXISTS', `${path} is there, and is no dir: of an image`, {
        path,
      });
    }
    mkdirSync(path, { recursive: true });
    this.#files = new VerifiedFiles(join(path, '.incoming'));
    mkdirSync(this.#files.root, { recursive: true });
    this.#path = path;
  }

  async has({ digest, size }: Descriptor): Promise<boolean> {
    return statSync(join(this.#path, digestHex(digest)), { throwIfNoEntry: false })?.size === size;
  }

  async put(descriptor: Descriptor, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    await this.#files.put(descriptor, open());
    const { digest } = descriptor;
    renameSync(join(this.#files.root, layoutPath(digest)), join(this.#path, digestHex(digest)));
  }

  async putManifest({ descriptor, bytes }: ManifestDocument): Promise<void> {
    replaceFile(join(this.#path, `${digestHex(descriptor.digest)}.manifest.json`), bytes);
  }

  async commit({ descriptor, bytes }: ManifestDocument): Promise<void> {
    rmSync(join(this.#path, `${digestHex(descriptor.digest)}.manifest.json`));
    replaceFile(join(this.#path, 'version'), DIRECTORY_VERSION);
    replaceFile(join(this.#path, 'manifest.json'), bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#files.root, { recursive: true, force: true });
  }
}

function replaceFile(path: string, content: string | Uint8Array): void {
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, content);
  syncFile(unfinished);
  renameSync(unfinished, path);
}
