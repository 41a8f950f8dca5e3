/**
 * The built-in networks: pods and containers get an interface, an address and a way out.
 *
 *   const networks = new Networks({ dataDir: '/var/lib/strata' });
 *   const { addresses, gateway, hostInterface } =
 *     await networks.attach({ containerId, netnsPath: `/proc/${pid}/ns/net` });
 *   await networks.detach({ containerId });
 *
 * It does in-process what the CNI plugins bridge, host-local and loopback do as three programs, and
 * keeps addresses where host-local does. What survives a crash is all there is to know: a file for
 * each address, and an interface whose name follows from network, container and interface name. So
 * detach needs no record and no living namespace, and can be repeated.
 *
 * Callers: pods and containers of this layer.
 */
import { hash } from 'node:crypto';
import { join } from 'node:path';
import {
  checkLinkName,
  deleteLink,
  type InterfaceAddress,
  isTracing,
  localExecutor,
  localSyscalls,
  NetlinkError,
  NetworkNamespace,
  networkNamespacePath,
  RouteNetlink,
  StrataError,
  Syscalls,
  span,
  syscallSpans,
  tracingExecutor,
} from '@strata/namespaces';
import { type AddressOwner, AddressStore, type Reservation } from './address-store.ts';
import {
  configurePod,
  createCable,
  ensureBridge,
  ensureGateway,
  macOfAddress,
  type PodEnd,
  settle,
} from './bridge.ts';
import { disableMasquerade, enableMasquerade } from './masquerade.ts';
import {
  checkName,
  DEFAULT_NETWORK,
  type DnsConfig,
  type Network,
  type NetworkConfig,
  resolveNetwork,
} from './network-config.ts';

export interface NetworksOptions {
  /** Addresses are kept in `<dataDir>/networks/<name>`. */
  dataDir: string;
  /** Default: the one network `strata`. */
  networks?: readonly NetworkConfig[];
  /**
   * The network namespace that bridges and host ends of cables live in: a path or a descriptor
   * (which stays the caller's). Default: the one this is constructed in.
   */
  hostNetns?: string | number | undefined;
}

/** A pod's network namespace: exactly one of the three. */
export interface NamespaceReference {
  netnsPath?: string | undefined;
  netnsFd?: number | undefined;
  pid?: number | undefined;
}

export interface AttachRequest extends NamespaceReference {
  containerId: string;
  /** Default: the first of the configured networks. */
  network?: string | undefined;
  /** Default: eth0. */
  interfaceName?: string | undefined;
}

export interface Attachment {
  network: string;
  interfaceName: string;
  /** One IPv4 address so far; more when networks have two families. */
  addresses: InterfaceAddress[];
  gateway: string;
  mac: string;
  /** The name of the cable's end on the host side. */
  hostInterface: string;
  /** Bytes, where the network sets it. */
  mtu?: number;
  dns?: DnsConfig;
}

export interface DetachRequest {
  containerId: string;
  network?: string | undefined;
  interfaceName?: string | undefined;
  /**
   * The pod's network namespace ends anyway: leave the interfaces to the kernel, which removes them
   * with it, in batches and in its own time. Else they are deleted, which takes 10 to 50 ms.
   */
  namespaceEnds?: boolean | undefined;
}

const DEFAULT_INTERFACE = 'eth0';
/** Of a hash, in an interface name of at most 15 bytes: 'veth' and 44 bits. */
const HASH_DIGITS = 11;

export class Networks implements Disposable {
  readonly #networks: ReadonlyMap<string, Network>;
  readonly #defaultName: string;
  readonly #dataDir: string;
  readonly #host: NetworkNamespace;
  /** By network, the index of the bridge that has been found in order. */
  readonly #prepared = new Map<string, number>();
  /** By owner, the addresses given: spares reading all files at release. */
  readonly #given = new Map<string, string[]>();

  /** @throws {StrataError} INVALID_CONFIG or INVALID_NAME for a network that cannot be */
  constructor(options: NetworksOptions) {
    const networks = (options.networks ?? [DEFAULT_NETWORK]).map(resolveNetwork);
    this.#networks = new Map(networks.map((network) => [network.name, network]));
    if (this.#networks.size < networks.length || networks[0] === undefined) {
      throw new StrataError('INVALID_CONFIG', 'networks need at least one, and different names', {
        field: 'networks',
      });
    }
    this.#defaultName = networks[0].name;
    this.#dataDir = options.dataDir;
    this.#host = openHost(options.hostNetns);
  }

  /**
   * Gives a pod an interface on a network, and its loopback. On failure nothing is left behind.
   * @throws {StrataError} ALREADY_ATTACHED, INTERFACE_EXISTS, ADDRESSES_EXHAUSTED (names the range),
   *   BRIDGE_CONFLICT, UNKNOWN_NETWORK, INVALID_NAME; NetlinkError with the kernel's reason
   */
  async attach(request: AttachRequest): Promise<Attachment> {
    const { network, owner, store } = this.#resolve(request);
    const { containerId, interfaceName } = owner;
    const attributes = { 'network.name': network.name, 'container.id': containerId };
    return span('network.attach', attributes, async () => {
      using namespace = openPod(request);
      if (namespace.inode === this.#host.inode) {
        const what = `the network namespace of ${containerId} is the host side's own`;
        throw new StrataError('HOST_NAMESPACE', what, { hint: 'a pod needs one of its own' });
      }
      const address = await store.reserve(owner, network.range);
      const hostInterface = hostInterfaceName(network.name, owner);
      const pod = { namespace, interfaceName, hostInterface, address };
      try {
        await this.#plug(pod, network, owner);
      } catch (error) {
        await store.release(owner, [address]);
        throw error;
      }
      this.#given.set(ownerKey(network, owner), [address]);
      return {
        network: network.name,
        interfaceName,
        addresses: [{ address, prefixLength: network.net.prefixLength }],
        gateway: network.gateway,
        mac: macOfAddress(address),
        hostInterface,
        ...(network.mtu !== undefined && { mtu: network.mtu }),
        ...(network.dns && { dns: network.dns }),
      };
    });
  }

  /**
   * Takes a pod off a network and gives its address back. Can be repeated, also when the pod's
   * namespace has gone.
   */
  async detach(request: DetachRequest): Promise<void> {
    const { network, owner, store } = this.#resolve(request);
    const attributes = { 'network.name': network.name, 'container.id': owner.containerId };
    await span('network.detach', attributes, async () => {
      if (!request.namespaceEnds) await this.#unplug(hostInterfaceName(network.name, owner));
      const key = ownerKey(network, owner);
      await store.release(owner, this.#given.get(key));
      this.#given.delete(key);
    });
  }

  /**
   * Frees the addresses and interfaces of containers that are no more.
   * @param liveIds every container id that has addresses rightly, on all networks; where CNI's
   *   host-local shares the data, those of its containers too
   * @returns what has been freed
   */
  async gc(liveIds: Iterable<string>): Promise<(Reservation & { network: string })[]> {
    const live = new Set(liveIds);
    const freed: (Reservation & { network: string })[] = [];
    for (const network of this.#networks.values()) {
      for (const reservation of await this.#storeOf(network).releaseAllBut(live)) {
        await this.#unplug(hostInterfaceName(network.name, reservation));
        this.#given.delete(ownerKey(network, reservation));
        freed.push({ network: network.name, ...reservation });
      }
    }
    return freed;
  }

  /** The addresses in use on a network. */
  reservations(networkName?: string): Reservation[] {
    return this.#storeOf(this.#network(networkName)).list();
  }

  /** The networks, as configured and completed. */
  list(): Network[] {
    return [...this.#networks.values()];
  }

  /**
   * Removes a network's bridge, firewall table and data from the machine; its configuration stays.
   * @throws {StrataError} NETWORK_IN_USE while a container has an address
   */
  async teardown(networkName?: string): Promise<void> {
    const network = this.#network(networkName);
    const store = this.#storeOf(network);
    const [first] = store.list();
    if (first) {
      const what = `network ${network.name} is in use by ${first.containerId} (${first.address})`;
      throw new StrataError('NETWORK_IN_USE', what);
    }
    await this.#unplug(network.bridge, 'bridge');
    if (network.ipMasq) disableMasquerade(this.#host, network);
    this.#prepared.delete(network.name);
    store.remove();
  }

  [Symbol.dispose](): void {
    this.#host[Symbol.dispose]();
  }

  async #plug(pod: PodEnd, network: Network, owner: AddressOwner): Promise<void> {
    const sys = tracedSyscalls();
    using host = this.#host.run(() => new RouteNetlink(sys));
    const bridge = span('network.bridge', { 'link.name': network.bridge }, () =>
      this.#ensureNetwork(host, network),
    );
    const cable = () => createCable(host, pod, network, bridge);
    try {
      span('network.veth', { 'link.name': pod.hostInterface }, cable);
    } catch (error) {
      if (!(error instanceof NetlinkError && error.code === 'EEXIST')) throw error;
      await this.#clearTheWay(host, pod, network, owner);
      span('network.veth', { 'link.name': pod.hostInterface }, cable);
    }
    try {
      span('network.configure', { 'network.address': pod.address }, () =>
        configurePod(sys, pod, network),
      );
      settle(host, pod.hostInterface);
    } catch (error) {
      await this.#unplug(pod.hostInterface);
      throw error;
    }
  }

  /** Finds out why a cable's name is taken; removes what a crash left behind. */
  async #clearTheWay(
    host: RouteNetlink,
    pod: PodEnd,
    network: Network,
    owner: AddressOwner,
  ): Promise<void> {
    const { interfaceName, containerId } = owner;
    if (host.link(pod.hostInterface) === undefined) {
      const what = `the pod's network namespace has an interface ${interfaceName} already`;
      throw new StrataError('INTERFACE_EXISTS', what);
    }
    const others = this.#storeOf(network)
      .list()
      .filter((each) => sameOwner(each, owner) && each.address !== pod.address);
    if (others[0]) {
      const what = `${containerId} is on network ${network.name} as ${interfaceName} already`;
      throw new StrataError('ALREADY_ATTACHED', `${what}: ${others[0].address}`, {
        hint: 'detach it first',
      });
    }
    await this.#unplug(pod.hostInterface);
  }

  /** The bridge in working order. What costs more than a look at it is done once a process. */
  #ensureNetwork(host: RouteNetlink, network: Network) {
    const bridge = ensureBridge(host, network);
    if (this.#prepared.get(network.name) !== bridge.index) {
      ensureGateway(host, network, bridge);
      if (network.ipMasq) enableMasquerade(this.#host, network);
      this.#prepared.set(network.name, bridge.index);
    }
    return bridge;
  }

  /** Deletes a link of the host side, where it is there, without blocking JavaScript. */
  async #unplug(name: string, kind: 'veth' | 'bridge' = 'veth'): Promise<void> {
    using host = this.#host.run(() => new RouteNetlink());
    const link = host.link(name);
    // What has our name but is of another kind is somebody else's.
    if (link?.kind !== kind) return;
    try {
      await host.executeInBackground(deleteLink(link.index));
    } catch (error) {
      // It went with its namespace in the meantime.
      if (!(error instanceof NetlinkError && error.code === 'ENODEV')) throw error;
    }
  }

  #resolve(request: {
    containerId: string;
    network?: string | undefined;
    interfaceName?: string | undefined;
  }) {
    const network = this.#network(request.network);
    const owner = {
      containerId: checkName('container id', request.containerId),
      interfaceName: checkLinkName(request.interfaceName ?? DEFAULT_INTERFACE),
    };
    return { network, owner, store: this.#storeOf(network) };
  }

  #network(name = this.#defaultName): Network {
    const network = this.#networks.get(checkName('network name', name));
    if (network) return network;
    const known = [...this.#networks.keys()].join(', ');
    throw new StrataError('UNKNOWN_NETWORK', `no network ${name}; there are: ${known}`);
  }

  #storeOf(network: Network): AddressStore {
    return new AddressStore(join(this.#dataDir, 'networks', network.name));
  }
}

/** `veth` and a hash: found again without a record. */
export function hostInterfaceName(network: string, owner: AddressOwner): string {
  const text = `${network}\0${owner.containerId}\0${owner.interfaceName}`;
  return `veth${hash('sha256', text, 'hex').slice(0, HASH_DIGITS)}`;
}

function openHost(reference: string | number | undefined): NetworkNamespace {
  if (reference === undefined) return NetworkNamespace.current();
  if (typeof reference === 'number') return NetworkNamespace.duplicate(reference);
  return NetworkNamespace.open(reference);
}

function openPod({ netnsPath, netnsFd, pid }: NamespaceReference): NetworkNamespace {
  const given = [netnsPath, netnsFd, pid].filter((reference) => reference !== undefined);
  if (given.length !== 1) {
    throw new StrataError('EINVAL', `${given.length} network namespaces given instead of one`, {
      hint: 'give one of netnsPath, netnsFd and pid',
    });
  }
  if (netnsFd !== undefined) return NetworkNamespace.duplicate(netnsFd);
  return NetworkNamespace.open(netnsPath ?? networkNamespacePath(pid!));
}

/** This thread's system calls, each a span where somebody traces. */
function tracedSyscalls(): Syscalls {
  if (!isTracing()) return localSyscalls();
  const listener = syscallSpans('local');
  return listener ? new Syscalls(tracingExecutor(localExecutor(), listener)) : localSyscalls();
}

function sameOwner(a: AddressOwner, b: AddressOwner): boolean {
  return a.containerId === b.containerId && a.interfaceName === b.interfaceName;
}

function ownerKey(network: Network, owner: AddressOwner): string {
  return `${network.name}/${owner.containerId}/${owner.interfaceName}`;
}
