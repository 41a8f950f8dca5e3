/**
 * Copies an image from one place to another, and nothing that is there already.
 *
 *   index ──▶ manifest, manifest, ... ──▶ blobs, three at a time     (parts first, then what needs them)
 *
 * Of an index, only this machine's image is copied, unless all are wanted: then the index too, whose
 * digest so stays the same.
 */
import { StrataError } from '@strata/namespaces';
import type { Digest } from '../content/digest.ts';
import type { Descriptor } from '../images/descriptor.ts';
import { resolveManifest } from '../images/image.ts';
import { INDEX_TYPES } from '../images/manifest.ts';
import { manifestFacts } from '../images/manifest-facts.ts';
import type { Platform } from '../images/platform.ts';
import type { PullProgress } from '../registry/pull-image.ts';
import type { ManifestDocument } from '../registry/registry-client.ts';
import type { ImageDestination, ImageSource } from './transport.ts';

export interface CopyOptions {
  /** Of an index: every image in it. */
  all?: boolean;
  /** Of an index: the image for this platform; default: for this machine. */
  platform?: Platform | undefined;
  progress?: ((progress: PullProgress) => void) | undefined;
}

const PARALLEL = 3;
const MAX_DEPTH = 4;

/**
 * @returns what the destination now stands for
 * @throws {StrataError} what source and destination throw; what was copied by then stays there unnamed
 */
export async function copyImage(
  source: ImageSource,
  destination: ImageDestination,
  options: CopyOptions = {},
): Promise<Descriptor> {
  const target = await chooseTarget(source, options);
  await new Copying(source, destination, options).document(target, 0);
  await destination.commit(target);
  return target.descriptor;
}

async function chooseTarget(
  source: ImageSource,
  { all = false, platform }: CopyOptions,
): Promise<ManifestDocument> {
  const target = await source.manifest();
  if (all || !INDEX_TYPES.includes(target.descriptor.mediaType)) return target;
  const read = async (descriptor: Descriptor): Promise<Buffer> =>
    descriptor === target.descriptor ? target.bytes : (await source.manifest(descriptor)).bytes;
  const { descriptor, bytes } = await resolveManifest(target.descriptor, read, platform);
  return { descriptor, bytes: Buffer.from(bytes) };
}

class Copying {
  readonly #source: ImageSource;
  readonly #destination: ImageDestination;
  readonly #options: CopyOptions;
  readonly #done = new Set<Digest>();

  constructor(source: ImageSource, destination: ImageDestination, options: CopyOptions) {
    this.#source = source;
    this.#destination = destination;
    this.#options = options;
  }

  async document(document: ManifestDocument, depth: number): Promise<void> {
    const { descriptor, bytes } = document;
    // Also where an index leads back to itself, which no honest digest can.
    if (this.#done.has(descriptor.digest)) return;
    if (depth > MAX_DEPTH) {
      throw new StrataError('INVALID_IMAGE', `indexes are nested more than ${MAX_DEPTH} deep`);
    }
    const { blobs, manifests } = manifestFacts(bytes, descriptor.mediaType);
    for (const part of manifests) await this.document(await this.#part(part), depth + 1);
    await this.#blobs(blobs.filter(({ digest }) => !this.#done.has(digest)));
    await this.#destination.putManifest(document);
    this.#done.add(descriptor.digest);
  }

  async #part(part: Descriptor): Promise<ManifestDocument> {
    const document = await this.#source.manifest(part);
    const { size, mediaType } = document.descriptor;
    if (size === part.size && mediaType === part.mediaType) return document;
    const message = `${part.digest} is a ${mediaType} of ${size} bytes`;
    const hint = `announced: ${part.mediaType} of ${part.size} bytes`;
    throw new StrataError('INVALID_IMAGE', message, { hint });
  }

  async #blobs(blobs: readonly Descriptor[]): Promise<void> {
    const queue = [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
    let failure: unknown;
    const worker = async (): Promise<void> => {
      for (let blob = queue.shift(); blob && !failure; blob = queue.shift()) {
        await this.#blob(blob).catch((error: unknown) => {
          failure ??= error;
        });
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    if (failure) throw failure;
  }

  async #blob(blob: Descriptor): Promise<void> {
    const { digest, size } = blob;
    const { progress } = this.#options;
    if (await this.#destination.has(blob, this.#source)) {
      progress?.({ digest, received: size, size, existed: true });
    } else {
      await this.#destination.put(blob, () => this.#reported(blob));
    }
    this.#done.add(digest);
  }

  async *#reported(blob: Descriptor): AsyncGenerator<Uint8Array> {
    const { digest, size } = blob;
    let received = 0;
    for await (const chunk of this.#source.blob(blob)) {
      received += chunk.length;
      this.#options.progress?.({ digest, received, size, existed: false });
      yield chunk;
    }
  }
}
