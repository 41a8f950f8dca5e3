/**
 * The manager: the one object that `strata`, the CRI server and tests hold (see manager-api.ts).
 *
 * It is a library and owns no process: any number of managers in any number of processes may be
 * open on the same directories. Opening one finishes or undoes what a killed one was at.
 */
import { mkdirSync } from 'node:fs';
import { span } from '@strata/namespaces';
import type { ShimApi } from '@strata/shim';
import { Containers } from '../containers/containers.ts';
import { Images } from '../images/images.ts';
import { DEFAULT_NETWORK, type NetworkConfig } from '../networks/network-config.ts';
import { Networks } from '../networks/networks.ts';
import { Pods } from '../pods/pods.ts';
import { openState, type StateDatabase } from '../state/state-database.ts';
import type { ManagerContext } from './context.ts';
import { ownerIsAlive } from './owner.ts';

export interface ManagerOptions {
  /** What outlives a reboot: default /var/lib/strata. */
  root?: string | undefined;
  /** What a reboot ends: default /run/strata. */
  state?: string | undefined;
  /**
   * 'process' (default): one shim process for the whole state directory, started when it is needed,
   * which lives on; 'in-process': in this process, for tests and for a program that is the only one.
   */
  shim?: 'process' | 'in-process';
  /** The pod network; default: bridge strata0, 10.88.0.0/16. */
  network?: Partial<NetworkConfig>;
  /** Where bridges live: a network namespace's path or descriptor; default: ours. */
  hostNetns?: string | number | undefined;
  /** Parent of all cgroups: default /strata. */
  cgroupParent?: string | undefined;
}

const DEFAULT_ROOT = '/var/lib/strata';
const DEFAULT_STATE = '/run/strata';
const DEFAULT_CGROUP_PARENT = '/strata';

export class Manager implements AsyncDisposable {
  readonly images: Images;
  readonly containers: Containers;
  readonly pods: Pods;
  readonly #database: StateDatabase;
  readonly #resources: Resources;

  private constructor(database: StateDatabase, images: Images, options: ManagerOptions) {
    this.#database = database;
    this.images = images;
    this.#resources = new Resources(options);
    const context: ManagerContext = {
      root: options.root ?? DEFAULT_ROOT,
      state: options.state ?? DEFAULT_STATE,
      database,
      images,
      cgroupParent: options.cgroupParent ?? DEFAULT_CGROUP_PARENT,
      shim: () => this.#resources.shim(),
      networks: () => this.#resources.networks(),
    };
    this.containers = new Containers(context, (podId) => this.pods.join(podId));
    this.pods = new Pods(context, this.containers);
  }

  /**
   * Opens the stores, making what is missing, and cleans up after managers that were killed.
   * @throws {StrataError} STATE_TOO_NEW, STATE_UNREADABLE
   */
  static async open(options: ManagerOptions = {}): Promise<Manager> {
    return span('manager.open', {}, async () => {
      const root = options.root ?? DEFAULT_ROOT;
      const state = options.state ?? DEFAULT_STATE;
      // Not traversable by others: CVE-2021-41103, CVE-2024-25621.
      mkdirSync(state, { recursive: true, mode: 0o700 });
      mkdirSync(root, { recursive: true, mode: 0o711 });
      const database = openState(`${root}/state.db`);
      const images = Images.open({ root, state: database });
      const manager = new Manager(database, images, options);
      await manager.#recover();
      return manager;
    });
  }

  async #recover(): Promise<void> {
    for (const row of this.containers.unfinished()) {
      if (!ownerIsAlive(row.owner)) await this.containers.recover(row);
    }
    for (const { id, owner } of this.pods.unfinished()) {
      if (!ownerIsAlive(owner)) await this.pods.recover(id);
    }
  }

  /** Starts the shim if it does not run: a server does so before its first pod has to wait for it. */
  async ready(): Promise<void> {
    await this.#resources.shim();
  }

  /** The pod networks, opened when they are first needed. */
  get networks(): Networks {
    return this.#resources.networks();
  }

  /** Gives back addresses that no pod or container holds any more. */
  async collectAddresses(): Promise<void> {
    const pods = await this.pods.list();
    const containers = await this.containers.list();
    const live = [
      ...pods.filter(({ state }) => state === 'ready' || state === 'creating'),
      ...containers.filter(({ state }) => state !== 'exited'),
    ].map(({ id }) => id);
    await this.#resources.networks().gc(live);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
    this.#database.close();
  }
}

/** What is opened when it is first needed, and closed with the manager. */
class Resources implements AsyncDisposable {
  readonly #options: ManagerOptions;
  #shim: Promise<ShimApi & Partial<Disposable & AsyncDisposable>> | undefined;
  #networks: Networks | undefined;

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  shim(): Promise<ShimApi> {
    this.#shim ??= this.#openShim().catch((error) => {
      this.#shim = undefined;
      throw error;
    });
    return this.#shim;
  }

  async #openShim(): Promise<ShimApi & Partial<Disposable & AsyncDisposable>> {
    const state = this.#options.state ?? DEFAULT_STATE;
    const { Shim, ShimClient } = await import('@strata/shim');
    if (this.#options.shim === 'in-process') return Shim.open({ state });
    return ShimClient.connectOrSpawn({ state });
  }

  networks(): Networks {
    const { network, hostNetns, state } = this.#options;
    this.#networks ??= new Networks({
      // On a tmpfs: addresses must not outlive a reboot, and creating their files is faster there.
      dataDir: state ?? DEFAULT_STATE,
      networks: [{ ...DEFAULT_NETWORK, ...network }],
      hostNetns,
    });
    return this.#networks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#networks?.[Symbol.dispose]();
    const shim = await this.#shim;
    shim?.[Symbol.dispose]?.();
    await shim?.[Symbol.asyncDispose]?.();
  }
}
