/**
 * A container's root file system: its own directory over its image's snapshots.
 *
 *   <root>/rootfs/<container>/upper    its changes
 *                            /work     overlayfs's
 *                            /merged   where it can be mounted
 *                            /boot     only for a volatile one: the boot it belongs to
 *
 * The row in the `rootfs` table says which snapshots it lies on, so that none of them is removed
 * while it is there. The row comes first and goes last.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import {
  mountOverlay,
  type OverlayDescription,
  openOverlay,
  StrataError,
  unmountAll,
} from '@strata/namespaces';
import type { Digest } from '../content/digest.ts';
import type { StateDatabase } from '../state/state-database.ts';
import { ScratchDirectories } from './scratch-directories.ts';
import type { SnapshotStore } from './snapshot-store.ts';

export interface PreparedRootfs extends OverlayDescription {
  upper: string;
  work: string;
  /** An empty directory, meant as the mount's place. */
  target: string;
  /** Mounts it at `target` in the calling process's mount namespace. */
  mount(): void;
  /** A detached mount of it, to be attached elsewhere with move_mount(2). */
  open(): number;
}

/** In a volatile root file system: the boot it belongs to. */
const BOOT_FILE = 'boot';
const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');

const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;

export class ContainerRootfs {
  readonly #root: string;
  readonly #state: StateDatabase;
  readonly #snapshots: SnapshotStore;
  #scratch: ScratchDirectories | undefined;

  constructor(options: { root: string; state: StateDatabase; snapshots: SnapshotStore }) {
    this.#root = join(options.root, 'rootfs');
    this.#state = options.state;
    this.#snapshots = options.snapshots;
    mkdirSync(this.#root, { recursive: true, mode: 0o711 });
  }

  /**
   * Makes the directories of a container's root file system. Nothing is mounted yet.
   * @throws {StrataError} ALREADY_EXISTS, INVALID_ID, SNAPSHOT_GONE
   */
  prepare(options: {
    containerId: string;
    manifest: Digest;
    chainIds: readonly Digest[];
    volatile?: boolean;
  }): PreparedRootfs {
    const { containerId } = options;
    const directory = this.#directory(containerId);
    this.#claim(options);
    try {
      return this.#make(directory, options);
    } catch (error) {
      this.release(containerId);
      throw error;
    }
  }

  /**
   * One that was prepared before, by this process or another; undefined if there is none.
   * @throws {StrataError} ROOTFS_LOST if it was volatile and the machine has been started since
   */
  find(containerId: string): PreparedRootfs | undefined {
    const directory = this.#directory(containerId);
    const sql = 'SELECT chain_ids FROM rootfs WHERE container_id = ?';
    const row = this.#state.get<{ chain_ids: string }>(sql, containerId);
    if (!row) return undefined;
    const bootFile = join(directory, BOOT_FILE);
    const volatile = existsSync(bootFile);
    if (volatile) this.#allowRemount(containerId, bootFile);
    return prepared({
      lowers: this.#lowers(JSON.parse(row.chain_ids), directory),
      upper: join(directory, 'upper'),
      work: join(directory, 'work'),
      target: join(directory, 'merged'),
      volatile,
    });
  }

  /** Unmounts and removes a container's root file system; nothing where it has none. */
  release(containerId: string): void {
    const directory = this.#directory(containerId);
    const target = join(directory, 'merged');
    if (statSync(target, { throwIfNoEntry: false })) unmountAll(target);
    this.#scratch ??= new ScratchDirectories(join(this.#root, '.scratch'));
    this.#scratch.detach(directory)[Symbol.dispose]();
    this.#state.run('DELETE FROM rootfs WHERE container_id = ?', containerId);
  }

  /** In one transaction, as garbage collection is: the snapshots are there and stay, or are not. */
  #claim(options: { containerId: string; manifest: Digest; chainIds: readonly Digest[] }): void {
    const { containerId, manifest, chainIds } = options;
    this.#state.transaction(() => {
      const gone = chainIds.find((chain) => !this.#snapshots.has(chain));
      if (gone) {
        const hint = 'its image was removed at this very moment';
        throw new StrataError('SNAPSHOT_GONE', `snapshot ${gone} is not there any more`, { hint });
      }
      const sql = 'INSERT INTO rootfs VALUES (?, ?, ?) ON CONFLICT DO NOTHING';
      if (this.#state.run(sql, containerId, manifest, JSON.stringify(chainIds)) === 1) return;
      const message = `container ${containerId} already has a root file system`;
      throw new StrataError('ALREADY_EXISTS', message, { path: this.#directory(containerId) });
    });
  }

  #make(
    directory: string,
    options: { chainIds: readonly Digest[]; volatile?: boolean },
  ): PreparedRootfs {
    mkdirSync(directory, { mode: 0o711 });
    const upper = join(directory, 'upper');
    const work = join(directory, 'work');
    const target = join(directory, 'merged');
    for (const path of [upper, work, target]) mkdirSync(path, { mode: 0o755 });
    const lowers = this.#lowers(options.chainIds, directory);
    likeness(lowers[0]!, upper);
    if (options.volatile) writeFileSync(join(directory, BOOT_FILE), bootId());
    return prepared({ lowers, upper, work, target, volatile: options.volatile ?? false });
  }

  /**
   * Overlayfs marks a volatile mount's work directory and refuses to mount it again, since a crash
   * of the machine may have damaged it. In the same boot there was none.
   */
  #allowRemount(containerId: string, bootFile: string): void {
    if (readFileSync(bootFile, 'utf8') !== bootId()) {
      const message = `the changes of container ${containerId} are from before the last boot`;
      const hint = 'it was made volatile: remove it and make it anew';
      throw new StrataError('ROOTFS_LOST', message, { path: dirname(bootFile), hint });
    }
    const marker = join(dirname(bootFile), 'work', 'work', 'incompat', 'volatile');
    rmSync(marker, { recursive: true, force: true });
  }

  #directory(containerId: string): string {
    if (ID.test(containerId)) return join(this.#root, containerId);
    throw new StrataError('INVALID_ID', `${JSON.stringify(containerId)} is not a container id`, {
      hint: 'letters, digits, and _ . - after the first',
    });
  }

  /** Overlayfs needs a lower directory; an image without layers gets an empty one. */
  #lowers(chainIds: readonly Digest[], directory: string): string[] {
    if (chainIds.length > 0) return chainIds.map((id) => this.#snapshots.path(id)).reverse();
    const empty = join(directory, 'empty');
    mkdirSync(empty, { recursive: true, mode: 0o755 });
    return [empty];
  }
}

/** The root directory of an overlay has the owner and mode of `upper`, whatever the image's has. */
function likeness(from: string, to: string): void {
  const { mode, uid, gid } = statSync(from);
  if (uid !== 0 || gid !== 0) chownSync(to, uid, gid);
  chmodSync(to, mode & 0o7777);
}

function prepared(
  options: OverlayDescription & Pick<PreparedRootfs, 'upper' | 'work' | 'target'>,
): PreparedRootfs {
  return {
    ...options,
    mount: () => mountOverlay(options, options.target),
    open: () => openOverlay(options),
  };
}
