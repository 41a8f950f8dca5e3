/**
 * The kernel's side of a bridge network: one bridge on the host side, one veth pair for each pod.
 *
 *   host side                                     pod
 *   ┌───────────────────────────────────┐         ┌─────────────────────────────┐
 *   │ strata0 (bridge) 10.88.0.1/16     │         │ lo        127.0.0.1/8       │
 *   │   └─ veth3f2a… ───────────────────┼─ veth ──┼─ eth0     10.88.0.5/16      │
 *   │   └─ veth91c0… ── another pod     │         │ default via 10.88.0.1       │
 *   └───────────────────────────────────┘         └─────────────────────────────┘
 *
 * A pod costs two sends: one on the host side (the pair, the far end right in the pod, the near end
 * a port of the bridge and up) and one in the pod (both links up, address, default route).
 *
 * Hardware addresses are made of the IP address (0a:58 and its four bytes), so a pod that inherits
 * an address also inherits what its neighbours have cached for it, and nobody talks to a ghost.
 * The bridge's own is fixed too: else it changes with its ports, and established connections stall.
 */
import {
  addAddress,
  addRoute,
  changeLink,
  createLink,
  formatMacAddress,
  type Link,
  LOOPBACK_INDEX,
  NetlinkError,
  type NetworkNamespace,
  parseIpAddress,
  RouteNetlink,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import type { Network } from './network-config.ts';

/** What a pod's end of the cable shall be. */
export interface PodEnd {
  namespace: NetworkNamespace;
  interfaceName: string;
  hostInterface: string;
  address: string;
}

/** The hardware address that belongs to an IPv4 address. */
export function macOfAddress(address: string): string {
  return formatMacAddress(Uint8Array.of(0x0a, 0x58, ...parseIpAddress(address)));
}

/**
 * The network's bridge, made and addressed where it is not there yet. Safe while other processes do
 * the same.
 * @throws {StrataError} BRIDGE_CONFLICT where a link of that name is something else
 */
export function ensureBridge(host: RouteNetlink, network: Network): Link {
  const bridge = host.link(network.bridge) ?? createBridge(host, network);
  if (bridge.kind !== 'bridge') {
    const what = `interface ${network.bridge} is a ${bridge.kind ?? 'hardware'} link, not a bridge`;
    throw new StrataError('BRIDGE_CONFLICT', what, {
      hint: `give network ${network.name} another bridge name`,
    });
  }
  if (!bridge.up) host.execute(changeLink(bridge.index, { up: true }));
  return bridge;
}

/** Gives the bridge the gateway's address, unless it has it. */
export function ensureGateway(host: RouteNetlink, network: Network, bridge: Link): void {
  const own = host.addresses().filter(({ link }) => link === bridge.index);
  if (own.some(({ address }) => address === network.gateway)) return;
  const { prefixLength } = network.net;
  tolerate('EEXIST', () => {
    host.execute(addAddress({ link: bridge.index, address: network.gateway, prefixLength }));
  });
}

/** Lays the cable from the bridge into the pod; fails with EEXIST where either end is taken. */
export function createCable(host: RouteNetlink, pod: PodEnd, network: Network, bridge: Link): void {
  const mtu = network.mtu === undefined ? {} : { mtu: network.mtu };
  const peer = {
    name: pod.interfaceName,
    mac: macOfAddress(pod.address),
    namespaceFd: pod.namespace.fd,
    ...mtu,
  };
  const kind = { kind: 'veth', peer } as const;
  host.execute(
    createLink({ name: pod.hostInterface, kind, master: bridge.index, up: true, ...mtu }),
  );
}

/** Configures the pod's own network: loopback, interface, address, default route. */
export function configurePod(sys: Syscalls, pod: PodEnd, network: Network): void {
  using netlink = pod.namespace.run(() => new RouteNetlink(sys));
  const link = netlink.link(pod.interfaceName);
  if (!link) {
    throw new StrataError('ENODEV', `interface ${pod.interfaceName} vanished from the pod`, {
      hint: 'somebody else deleted or renamed it while the pod was attached',
    });
  }
  netlink.execute(
    changeLink(LOOPBACK_INDEX, { up: true }),
    changeLink(link.index, { up: true }),
    addAddress({
      link: link.index,
      address: pod.address,
      prefixLength: network.net.prefixLength,
    }),
    addRoute({ destination: 'default', gateway: network.gateway, link: link.index }),
  );
  settle(netlink, link.index);
}

/**
 * Makes the kernel act on a link's new carrier now. It would within milliseconds to a second, by a
 * work queue (linkwatch), and until then the bridge drops the pod's packets: a first connection that
 * loses its ARP request waits another second for the next. Being asked for the link, Linux 6.8 and
 * later catches up at once (rtnl_getlink calls linkwatch_sync_dev); earlier ones do no worse than
 * without. Costs 0.1 ms.
 */
export function settle(netlink: RouteNetlink, link: number | string): void {
  netlink.link(link);
}

/** Runs an action; the one refusal named is as good as success. */
export function tolerate(code: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === code)) throw error;
  }
}

function createBridge(host: RouteNetlink, network: Network): Link {
  const mtu = network.mtu === undefined ? {} : { mtu: network.mtu };
  // Another process may be faster; then its bridge is ours.
  tolerate('EEXIST', () => {
    host.execute(
      createLink({
        name: network.bridge,
        kind: { kind: 'bridge' },
        mac: macOfAddress(network.gateway),
        up: true,
        ...mtu,
      }),
    );
  });
  const bridge = host.link(network.bridge);
  if (!bridge) throw new StrataError('ENODEV', `bridge ${network.bridge} vanished`);
  return bridge;
}
