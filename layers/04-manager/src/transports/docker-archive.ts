/**
 * docker-archive: what docker save writes and docker load reads.
 *
 *   manifest.json     [{ "Config": "<hex>.json", "RepoTags": ["app:1"], "Layers": ["<hex>.tar", ...] }]
 *   <hex>.json        the configuration
 *   <hex>.tar         a layer; ours are not compressed, as docker's rule is, others' may be
 *
 * It has no manifest that a registry would take: one is made for what is in it.
 * @see https://github.com/moby/docker-image-spec/blob/main/v1.2.md
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { StrataError } from '@strata/namespaces';
import { type Digest, digestFromHex, digestHex, digestOf, layoutPath } from '../content/digest.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { MAX_CONFIG_BYTES, parseImageConfig } from '../images/image-config.ts';
import { arrayOf, jsonObject, parseJson, stringOf, stringsOf } from '../images/json-fields.ts';
import { OCI_CONFIG, OCI_MANIFEST, parseManifest } from '../images/manifest.ts';
import {
  type Compression,
  LAYER_GZIP,
  LAYER_TAR,
  LAYER_ZSTD,
  layerCompression,
} from '../layers/layer-media.ts';
import { ArchiveFiles } from '../oci-layout/archive-files.ts';
import { invalidLayout } from '../oci-layout/invalid-layout.ts';
import { addFile, addText, writeArchive } from '../oci-layout/write-archive.ts';
import { formatReference, parseReference } from '../references/reference.ts';
import type { ManifestDocument } from '../registry/registry-client.ts';
import { LayoutDestination } from './files-transport.ts';
import type { ImageSource } from './transport.ts';

interface Entry {
  config: string;
  tags: string[];
  layers: string[];
}

const MAX_IMAGES = 1000;
const MAGIC: readonly [Compression, readonly number[]][] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];
const MEDIA_TYPES: Readonly<Record<Compression, string>> = {
  none: LAYER_TAR,
  gzip: LAYER_GZIP,
  zstd: LAYER_ZSTD,
};

export class DockerArchiveSource implements ImageSource {
  readonly #files: ArchiveFiles;
  readonly #target: ManifestDocument;
  readonly #names: ReadonlyMap<Digest, string>;

  private constructor(
    files: ArchiveFiles,
    target: ManifestDocument,
    names: ReadonlyMap<Digest, string>,
  ) {
    this.#files = files;
    this.#target = target;
    this.#names = names;
  }

  /** @param name the image, where there are several @throws {StrataError} INVALID_LAYOUT, INVALID_IMAGE */
  static async open(path: string, name: string | undefined): Promise<DockerArchiveSource> {
    const files = await ArchiveFiles.open(path);
    try {
      const entry = chooseEntry(files, name);
      const names = new Map<Digest, string>();
      const bytes = files.file(entry.config);
      const config = { mediaType: OCI_CONFIG, digest: digestOf(bytes), size: bytes.length };
      names.set(config.digest, entry.config);
      const layers: Descriptor[] = [];
      for (const layer of entry.layers) {
        const descriptor = await describeLayer(files, layer);
        names.set(descriptor.digest, layer);
        layers.push(descriptor);
      }
      return new DockerArchiveSource(files, manifestOf(config, layers), names);
    } catch (error) {
      files[Symbol.dispose]();
      throw error;
    }
  }

  async manifest(): Promise<ManifestDocument> {
    return this.#target;
  }

  blob({ digest }: Descriptor): AsyncIterable<Uint8Array> {
    return this.#files.chunks(this.#names.get(digest)!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#files[Symbol.dispose]();
  }
}

function chooseEntry(files: ArchiveFiles, name: string | undefined): Entry {
  const items = arrayOf(
    parseJson(files.file('manifest.json'), 'manifest.json'),
    'manifest.json',
    MAX_IMAGES,
  );
  const entries = items.map((item, at): Entry => {
    const object = jsonObject(item, `manifest.json[${at}]`);
    return {
      config: stringOf(object.Config, `manifest.json[${at}].Config`),
      tags: stringsOf(object.RepoTags, `manifest.json[${at}].RepoTags`),
      layers: stringsOf(object.Layers, `manifest.json[${at}].Layers`),
    };
  });
  const wanted = name === undefined ? undefined : formatReference(parseReference(name));
  const fitting = entries.filter(
    ({ tags }) =>
      wanted === undefined || tags.some((tag) => formatReference(parseReference(tag)) === wanted),
  );
  if (fitting.length === 1) return fitting[0]!;
  const hint = `it has ${
    entries
      .flatMap(({ tags }) => tags)
      .slice(0, 20)
      .join(', ') || 'no names'
  }`;
  throw invalidLayout(
    files.path,
    `has ${fitting.length} images${name ? ` named ${name}` : ''}, not one`,
    hint,
  );
}

async function describeLayer(files: ArchiveFiles, name: string): Promise<Descriptor> {
  const hash = createHash('sha256');
  let beginning: Uint8Array | undefined;
  for await (const chunk of files.chunks(name)) {
    beginning ??= chunk.subarray(0, 4);
    hash.update(chunk);
  }
  const [compression = 'none'] =
    MAGIC.find(([, magic]) => magic.every((byte, at) => beginning?.[at] === byte)) ?? [];
  const digest = digestFromHex(hash.digest('hex'));
  return { mediaType: MEDIA_TYPES[compression], digest, size: files.size(name) };
}

function manifestOf(config: Descriptor, layers: readonly Descriptor[]): ManifestDocument {
  const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
  const bytes = Buffer.from(JSON.stringify(document));
  const digest = digestOf(bytes);
  return { descriptor: { mediaType: OCI_MANIFEST, digest, size: bytes.length }, bytes };
}

/** Collects the parts as a layout beside the archive, and packs them in docker's form. */
export class DockerArchiveDestination extends LayoutDestination {
  readonly #path: string;
  readonly #staging: string;
  readonly #tag: string | undefined;

  constructor(path: string, name: string | undefined) {
    if (existsSync(path))
      throw new StrataError('ALREADY_EXISTS', `${path} is there already`, { path });
    const staging = `${path}.strata-${process.pid}`;
    super(staging, undefined);
    this.#path = path;
    this.#staging = staging;
    this.#tag = name === undefined ? undefined : formatReference(parseReference(name));
  }

  override async commit({ descriptor, bytes }: ManifestDocument): Promise<void> {
    const manifest = parseManifest(bytes, descriptor.mediaType);
    if (manifest.kind === 'index') {
      throw new StrataError('INVALID_IMAGE', 'a docker-archive has no indexes: copy without --all');
    }
    const blobOf = (blob: Descriptor): string => join(this.#staging, layoutPath(blob.digest));
    const plain = join(this.#staging, 'plain');
    mkdirSync(plain);
    const configFile = blobOf(manifest.config);
    const { diffIds } = parseImageConfig(await readSmall(configFile));
    const config = `${digestHex(manifest.config.digest)}.json`;
    const layers = diffIds.map((diffId) => `${digestHex(diffId)}.tar`);
    await writeArchive(this.#path, async (archive) => {
      await addFile(archive, config, openSync(configFile, 'r'));
      for (const [at, layer] of manifest.layers.entries()) {
        const file = join(plain, layers[at]!);
        // The same layer twice is one file.
        if (existsSync(file)) continue;
        await decompress(blobOf(layer), layerCompression(layer.mediaType), {
          file,
          diffId: diffIds[at]!,
        });
        await addFile(archive, layers[at]!, openSync(file, 'r'));
      }
      const tags = this.#tag === undefined ? [] : [this.#tag];
      addText(
        archive,
        'manifest.json',
        JSON.stringify([{ Config: config, RepoTags: tags, Layers: layers }]),
      );
    });
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#staging, { recursive: true, force: true });
  }
}

async function readSmall(file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(file, { end: MAX_CONFIG_BYTES })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function decompress(
  from: string,
  compression: Compression,
  to: { file: string; diffId: Digest },
): Promise<void> {
  const decompressor = {
    none: () => new PassThrough(),
    gzip: createGunzip,
    zstd: createZstdDecompress,
  };
  const hash = createHash(to.diffId.slice(0, 6));
  await pipeline(
    createReadStream(from, { highWaterMark: 1 << 18 }),
    decompressor[compression](),
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        yield chunk;
      }
    },
    createWriteStream(to.file, { flags: 'wx' }),
  );
  if (hash.digest('hex') === digestHex(to.diffId)) return;
  throw new StrataError(
    'DIGEST_MISMATCH',
    `a layer is not the ${to.diffId} that the configuration says`,
  );
}
