/**
 * The kinds of virtual links, and the data each takes at its creation (IFLA_INFO_DATA).
 *
 *   veth      a cable: two ends, often in two namespaces
 *   bridge    a switch
 *   vlan      the frames of a link that carry one 802.1Q tag
 *   macvlan   a further hardware address on a link
 *   vxlan     a cable through UDP
 *   ipvlan    further IP addresses on a link (a module not every kernel has)
 *   dummy     a link that swallows everything (likewise)
 */
import { StrataError } from '../errors/strata-error.ts';
import type { BodyWriter } from './attributes.ts';
import { parseIpAddress } from './ip-address.ts';
import type { LinkSettings } from './links.ts';

export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;

export type LinkKind =
  | { kind: 'veth'; peer: LinkSettings & { name: string } }
  | BridgeKind
  | { kind: 'vlan'; lower: number; id: number }
  | { kind: 'macvlan'; lower: number; mode: keyof typeof MACVLAN_MODES }
  | { kind: 'ipvlan'; lower: number; mode: keyof typeof IPVLAN_MODES }
  | VxlanKind
  | { kind: 'dummy' };

export interface BridgeKind {
  kind: 'bridge';
  /** Ports have VLANs of their own (bridge(8) `vlan`). */
  vlanFiltering?: boolean;
  /** The VLAN of untagged frames, 0 for none; default 1. */
  defaultVlan?: number;
  spanningTree?: boolean;
  /** How long a port listens and learns before it forwards; at least 2 with a spanning tree. */
  forwardDelaySeconds?: number;
  /** How long a hardware address is remembered. */
  ageingSeconds?: number;
  multicastSnooping?: boolean;
}

export interface VxlanKind {
  kind: 'vxlan';
  lower?: number;
  /** VXLAN network identifier, 24 bits. */
  id: number;
  /** A remote address, or a multicast group. */
  remote?: string;
  local?: string;
  /** UDP port; the registered one is 4789. */
  port?: number;
  learning?: boolean;
}

const IFLA_BR_FORWARD_DELAY = 1;
const IFLA_BR_AGEING_TIME = 4;
const IFLA_BR_STP_STATE = 5;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BR_MCAST_SNOOPING = 23;
const IFLA_BR_VLAN_DEFAULT_PVID = 39;
/** The bridge's times are in clock ticks of 1/100 s (USER_HZ). */
const TICKS_PER_SECOND = 100;
const IFLA_VLAN_ID = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_GROUP = 2;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_GROUP6 = 16;
const IFLA_VXLAN_LOCAL6 = 17;
const VXLAN_PORT = 4789;

/** The name by which the kernel knows the kind. */
export function kindName(kind: LinkKind): string {
  return kind.kind;
}

/** Writes what a kind wants to know; a veth's peer is written by links.ts, being a link itself. */
export function writeKindData(data: BodyWriter, kind: Exclude<LinkKind, { kind: 'veth' }>): void {
  switch (kind.kind) {
    case 'bridge':
      writeBridge(data, kind);
      return;
    case 'vlan':
      data.u16(IFLA_VLAN_ID, within(kind.id, 0, 4094, 'VLAN id'));
      return;
    case 'macvlan':
      data.u32(IFLA_MACVLAN_MODE, MACVLAN_MODES[kind.mode]);
      return;
    case 'ipvlan':
      data.u16(IFLA_IPVLAN_MODE, IPVLAN_MODES[kind.mode]);
      return;
    case 'vxlan':
      writeVxlan(data, kind);
      return;
    case 'dummy':
      return;
  }
}

function writeBridge(data: BodyWriter, bridge: BridgeKind): void {
  const { forwardDelaySeconds, ageingSeconds, defaultVlan } = bridge;
  const ticks = (seconds: number): number => Math.round(seconds * TICKS_PER_SECOND);
  if (forwardDelaySeconds !== undefined)
    data.u32(IFLA_BR_FORWARD_DELAY, ticks(forwardDelaySeconds));
  if (ageingSeconds !== undefined) data.u32(IFLA_BR_AGEING_TIME, ticks(ageingSeconds));
  if (bridge.spanningTree !== undefined) data.u32(IFLA_BR_STP_STATE, bridge.spanningTree ? 1 : 0);
  if (bridge.vlanFiltering !== undefined) {
    data.u8(IFLA_BR_VLAN_FILTERING, bridge.vlanFiltering ? 1 : 0);
  }
  if (bridge.multicastSnooping !== undefined) {
    data.u8(IFLA_BR_MCAST_SNOOPING, bridge.multicastSnooping ? 1 : 0);
  }
  if (defaultVlan !== undefined) {
    data.u16(IFLA_BR_VLAN_DEFAULT_PVID, within(defaultVlan, 0, 4094, 'VLAN id'));
  }
}

function writeVxlan(data: BodyWriter, vxlan: VxlanKind): void {
  data.u32(IFLA_VXLAN_ID, within(vxlan.id, 0, 0xffffff, 'VXLAN id'));
  if (vxlan.lower !== undefined) data.u32(IFLA_VXLAN_LINK, vxlan.lower);
  if (vxlan.remote !== undefined) {
    const remote = parseIpAddress(vxlan.remote);
    data.bytes(remote.length === 4 ? IFLA_VXLAN_GROUP : IFLA_VXLAN_GROUP6, remote);
  }
  if (vxlan.local !== undefined) {
    const local = parseIpAddress(vxlan.local);
    data.bytes(local.length === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, local);
  }
  data.u16Network(IFLA_VXLAN_PORT, within(vxlan.port ?? VXLAN_PORT, 1, 0xffff, 'UDP port'));
  if (vxlan.learning !== undefined) data.u8(IFLA_VXLAN_LEARNING, vxlan.learning ? 1 : 0);
}

function within(value: number, low: number, high: number, what: string): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new StrataError('EINVAL', `${what} ${value} is not between ${low} and ${high}`);
}
