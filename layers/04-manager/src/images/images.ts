/**
 * The images of a node: the one class the rest of the manager, the CRI server and the command use.
 *
 *   const images = Images.open({ root: '/var/lib/strata', state });
 *   await images.fromHost('tools', ['bash', 'ls']);
 *   const rootfs = await images.prepareRootfs('c1', 'tools');
 *   rootfs.mount();          // at rootfs.target
 *   images.releaseRootfs('c1');
 *
 * Below it: names in SQLite, documents and layers in the content store, unpacked layers in the
 * snapshot store. No process owns any of it; all of this may be called from many at once.
 */
import { span } from '@strata/namespaces';
import { ContentStore } from '../content/content-store.ts';
import type { Digest } from '../content/digest.ts';
import { parseLocation } from '../oci-layout/layout-location.ts';
import {
  formatReference,
  parseReference,
  type Reference,
  repositoryOf,
} from '../references/reference.ts';
import type { PullOptions } from '../registry/pull-image.ts';
import { chainIds } from '../snapshots/chain-id.ts';
import { ContainerRootfs, type PreparedRootfs } from '../snapshots/container-rootfs.ts';
import { SnapshotStore } from '../snapshots/snapshot-store.ts';
import type { StateDatabase } from '../state/state-database.ts';
import { StoreDestination, StoreSource } from '../transports/store-transport.ts';
import { CollectionLock } from './collection-lock.ts';
import type { Descriptor } from './descriptor.ts';
import { collectGarbage } from './garbage.ts';
import { type Image, type ImageDocuments, readDocuments, resolveManifest } from './image.ts';
import { ImageNames, imageNotFound, type NamedImage } from './image-names.ts';
import { MAX_MANIFEST_BYTES } from './manifest.ts';
import type { Platform } from './platform.ts';

export interface ImagesOptions {
  /** The directory of all images: '/var/lib/strata'. */
  root: string;
  state: StateDatabase;
}

export class Images {
  readonly content: ContentStore;
  readonly snapshots: SnapshotStore;
  readonly #names: ImageNames;
  readonly #rootfs: ContainerRootfs;
  readonly #lock: CollectionLock;
  /** Documents never change under their digest. */
  readonly #documents = new Map<Digest, ImageDocuments>();
  readonly #pulls = new Map<string, Promise<Image>>();

  private constructor({ root, state }: ImagesOptions) {
    this.content = new ContentStore(root);
    this.snapshots = new SnapshotStore(root, this.content);
    this.#names = new ImageNames(state);
    this.#rootfs = new ContainerRootfs({ root, state, snapshots: this.snapshots });
    const stores = { state, names: this.#names, content: this.content, snapshots: this.snapshots };
    this.#lock = new CollectionLock(root, () => collectGarbage(stores));
  }

  /** Opens the images below `root`; makes what is missing there. */
  static open(options: ImagesOptions): Images {
    return new Images(options);
  }

  /**
   * Makes an image of programs of this host and their libraries.
   * @param name the image's name; without a tag, `latest`
   * @param commands 'ls', '/usr/bin/env' or 'busybox=/bin/sh,/bin/ls'
   * @throws {StrataError} COMMAND_NOT_FOUND, LIBRARY_NOT_FOUND, INVALID_REFERENCE
   */
  async fromHost(name: string, commands: readonly string[]): Promise<Image> {
    const reference = parseReference(name);
    return span('image.from_host', { 'image.name': name }, () =>
      this.adding(async () => {
        const { packFromHost } = await import('../from-host/from-host.ts');
        return this.#record(reference, await packFromHost(this.content, commands));
      }),
    );
  }

  /**
   * Pulls an image from its registry; the same pull asked for twice in one process is done once.
   * @throws {StrataError} NOT_IN_REGISTRY, UNAUTHORIZED, REGISTRY_UNREACHABLE, REGISTRY_ERROR,
   *   DIGEST_MISMATCH, SIZE_MISMATCH, INVALID_IMAGE, INVALID_LAYER, ...; nothing is stored then
   */
  async pull(name: string, options: PullOptions = {}): Promise<Image> {
    const reference = parseReference(name);
    const full = formatReference(reference);
    const running = this.#pulls.get(full);
    if (running) return running;
    const pulling = span('image.pull', { 'image.name': full }, () =>
      this.#pull(reference, options),
    ).finally(() => this.#pulls.delete(full));
    this.#pulls.set(full, pulling);
    return pulling;
  }

  /**
   * Imports an OCI image layout: 'oci:DIRECTORY', 'oci-archive:FILE', or the path of either.
   * @param options.name the image's name; needed where the layout does not say it
   * @throws {StrataError} INVALID_LAYOUT, INVALID_IMAGE, DIGEST_MISMATCH, ...; nothing is stored then
   */
  async import(location: string, options: { name?: string } = {}): Promise<Image[]> {
    const { chooseImages, importImage } = await import('../oci-layout/import-layout.ts');
    const { openLayout } = await import('../oci-layout/layout-source.ts');
    using source = await openLayout(parseLocation(location).path);
    // Awaited here: the source is closed when this function returns.
    return await this.adding(async () => {
      const images: Image[] = [];
      for (const { reference, target } of chooseImages(source, options.name)) {
        await importImage(this.content, source, target);
        images.push(await this.#record(reference, target));
      }
      return images;
    });
  }

  /**
   * Exports an image as an OCI image layout: 'oci:DIRECTORY' or 'oci-archive:FILE'.
   * @throws {StrataError} IMAGE_NOT_FOUND, ALREADY_EXISTS
   */
  async export(nameOrId: string, location: string): Promise<void> {
    const found = this.#names.find(nameOrId);
    if (!found) throw imageNotFound(nameOrId);
    const { exportArchive, exportDirectory } = await import('../oci-layout/export-layout.ts');
    const { path, kind } = parseLocation(location);
    const manifest = this.#documentsOf(found.image.manifest).descriptor;
    const [tag] = found.byName ? [] : this.#image(this.#names.ofImage(found.image.config)).tags;
    const options = { content: this.content, manifest, name: tag ?? found.image.name, path };
    await this.#lock.whileAdding(async () =>
      kind === 'directory' ? exportDirectory(options) : exportArchive(options),
    );
  }

  /** An image to be copied from here. @throws {StrataError} IMAGE_NOT_FOUND */
  source(nameOrId: string): StoreSource {
    const found = this.#names.find(nameOrId);
    if (!found) throw imageNotFound(nameOrId);
    const { target, name } = found.image;
    return new StoreSource(
      this.content,
      this.#present(found.image) ?? target,
      parseReference(name),
    );
  }

  /** Where an image is to be copied to. Wrap the copy in `adding`. */
  destination(name: string): StoreDestination {
    const reference = parseReference(name);
    return new StoreDestination(this.content, async (target) => {
      await this.#record(reference, target);
    });
  }

  /** What the name stands for, if all of it is here; of an index, often only one platform's image is. */
  #present({ target, manifest }: NamedImage): Descriptor | undefined {
    if (target.digest === manifest) return undefined;
    return this.#documentsOf(manifest).descriptor;
  }

  /** All images, each once, by name. */
  list(): Image[] {
    const images = new Map<Digest, NamedImage[]>();
    for (const named of this.#names.all()) {
      images.set(named.config, [...(images.get(named.config) ?? []), named]);
    }
    return [...images.values()].map((names) => this.#image(names));
  }

  /**
   * The image of a name, digest or beginning of an id; undefined if there is none.
   * @throws {StrataError} INVALID_REFERENCE, AMBIGUOUS_ID
   */
  status(nameOrId: string): Image | undefined {
    const found = this.#names.find(nameOrId);
    return found && this.#image(this.#names.ofImage(found.image.config));
  }

  /**
   * Removes a name, or by id (or with `allNames`) the image with all its names. With the last tag
   * the image goes: its blobs, and its snapshots as soon as no container lies on them.
   * @returns the names removed; none if there was no such image
   * @throws {StrataError} INVALID_REFERENCE, AMBIGUOUS_ID
   */
  remove(nameOrId: string, options: { allNames?: boolean } = {}): string[] {
    const found = this.#names.find(nameOrId);
    if (!found) return [];
    const names = this.#names.ofImage(found.image.config).map(({ name }) => name);
    const isTag = (name: string): boolean => !name.includes('@');
    const otherTags = names.filter((name) => isTag(name) && name !== found.image.name);
    const onlyOne = found.byName && !options.allNames && otherTags.length > 0;
    const removed = onlyOne ? [found.image.name] : names;
    this.#names.remove(removed);
    this.#lock.collect();
    return removed;
  }

  /**
   * Makes a container's root file system from an image. It is not mounted yet; see `PreparedRootfs`.
   * @throws {StrataError} IMAGE_NOT_FOUND, ALREADY_EXISTS, INVALID_ID
   */
  async prepareRootfs(
    containerId: string,
    nameOrId: string,
    options: { volatile?: boolean } = {},
  ): Promise<PreparedRootfs> {
    const found = this.#names.find(nameOrId);
    if (!found) throw imageNotFound(nameOrId);
    const documents = this.#documentsOf(found.image.manifest);
    const chains = chainIds(documents.config.diffIds);
    if (!chains.every((chain) => this.snapshots.has(chain))) {
      await this.#lock.whileAdding(() => this.snapshots.ensure(documents.layers));
    }
    return this.#rootfs.prepare({
      containerId,
      manifest: found.image.manifest,
      chainIds: chains,
      ...options,
    });
  }

  /**
   * A root file system that was prepared before; undefined if there is none.
   * @throws {StrataError} ROOTFS_LOST if it was volatile and the machine has been started since
   */
  findRootfs(containerId: string): PreparedRootfs | undefined {
    return this.#rootfs.find(containerId);
  }

  /** Unmounts and removes a container's root file system; nothing where it has none. */
  releaseRootfs(containerId: string): void {
    this.#rootfs.release(containerId);
  }

  /** Removes blobs and snapshots that nothing refers to; false if that is put off. */
  prune(): boolean {
    return this.#lock.collect();
  }

  async #pull(reference: Reference, options: PullOptions): Promise<Image> {
    const { pullImage } = await import('../registry/pull-image.ts');
    return this.adding(async () =>
      this.#record(reference, await pullImage(this, reference, options), options.platform),
    );
  }

  /** Calls `work`, which adds to the stores; what it has added until it fails is removed. */
  async adding<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#lock.whileAdding(work);
    } catch (error) {
      this.#lock.collect();
      throw error;
    }
  }

  /** Unpacks an image whose blobs are in the store, and gives it its names. */
  async #record(reference: Reference, target: Descriptor, platform?: Platform): Promise<Image> {
    const read = ({ digest }: Descriptor): Buffer => this.content.read(digest, MAX_MANIFEST_BYTES);
    const { descriptor } = await resolveManifest(target, read, platform);
    const documents = this.#documentsOf(descriptor.digest);
    await this.snapshots.ensure(documents.layers);
    const { configDigest: config, size } = documents;
    const repository = repositoryOf(reference);
    const names = [`${repository}@${target.digest}`];
    if (reference.tag) names.push(formatReference({ ...reference, digest: undefined }));
    this.#names.put(names, { target, manifest: descriptor.digest, config, size });
    return this.#image(this.#names.ofImage(config));
  }

  #image(names: readonly NamedImage[]): Image {
    const [first] = names;
    const { manifest, config: id, size } = first!;
    const isTag = ({ name }: NamedImage): boolean => !name.includes('@');
    return {
      id,
      tags: names.filter(isTag).map(({ name }) => name),
      digests: names.filter((named) => !isTag(named)).map(({ name }) => name),
      manifest,
      size,
      config: this.#documentsOf(manifest).config,
    };
  }

  #documentsOf(digest: Digest): ImageDocuments {
    let documents = this.#documents.get(digest);
    if (!documents) {
      documents = readDocuments(this.content, digest);
      this.#documents.set(digest, documents);
    }
    return documents;
  }
}
