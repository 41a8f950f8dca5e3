/**
 * Forwarded ports: what comes to a port of this machine goes to a port of a container.
 *
 *   table strata_x {
 *     map forwards { type inet_proto . inet_service : ipv4_addr . inet_service }
 *     chain arriving  { nat hook prerouting: daddr is ours,  dnat to protocol . port map @forwards }
 *     chain local     { nat hook output:     the same, for processes of this machine }
 *     chain returning { nat hook postrouting: from the network to itself, forwarded: masquerade }
 *   }
 *
 * `returning` is the hairpin: a container that reaches another one by the machine's address would
 * get its answers from an address it never asked, straight over the bridge. To reach itself it needs
 * its port's `hairpin` too (bridge-ports.ts). Forwarding to the
 * loopback's callers needs /proc/sys/net/ipv4/conf/BRIDGE/route_localnet too (IPv4 only).
 */
import { StrataError } from '../errors/strata-error.ts';
import { formatIpAddress, parseInterfaceAddress, parseIpAddress } from './ip-address.ts';
import type { NetlinkRequest } from './message.ts';
import {
  addElements,
  createMap,
  deleteElements,
  lookup,
  type NftElement,
  type NftMap,
} from './nft-maps.ts';
import { expression, NFT_FAMILIES, NFTA_DATA_VALUE, type NftExpression } from './nft-message.ts';
import { counter } from './nft-rules.ts';
import {
  addRule,
  createChain,
  createTable,
  masquerade,
  matchNetwork,
  type NftTable,
} from './nftables.ts';

export const FORWARD_PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;
const FORWARDS = 'forwards';
const DESTINATION_NAT_PRIORITY = -100;
const SOURCE_NAT_PRIORITY = 100;
/** Registers of 4 bytes, of which register 1 (16 bytes) covers the first four. */
const REGISTER_1 = 1;
const SECOND_WORD = 9;
const FIFTH_WORD = 12;
const META_L4PROTO = 16;
const CT_STATUS = 2;
const IPS_DST_NAT = 1 << 5;
const FIB_ADDRESS_TYPE = 3;
const FIB_BY_DESTINATION = 2;
const RTN_LOCAL = 2;

export interface PortForward {
  protocol: keyof typeof FORWARD_PROTOCOLS;
  /** On this machine. */
  port: number;
  /** The container's. */
  target: { address: string; port: number };
}

/**
 * Puts the table, its map and chains in place, without any port; EEXIST where the map is there.
 * @param network the containers' network, `10.88.0.0/16`
 */
export function createPortForwarding(table: NftTable, network: string): NetlinkRequest[] {
  const { address, prefixLength } = parseInterfaceAddress(network);
  const inside = { family: table.family, network: parseIpAddress(address), prefixLength };
  checkFamily(table, inside.network, network);
  const forward = [...localDestination(), ...loadProtocolAndPort(), lookup(FORWARDS), counter()];
  const chain = (name: string) => ({ ...table, chain: name });
  const nat = { type: 'nat' } as const;
  return [
    createTable(table),
    createMap(mapOf(table), { key: ['protocol', 'port'], value: [table.family, 'port'] }),
    createChain({
      ...chain('arriving'),
      ...nat,
      hook: 'prerouting',
      priority: DESTINATION_NAT_PRIORITY,
    }),
    createChain({ ...chain('local'), ...nat, hook: 'output', priority: DESTINATION_NAT_PRIORITY }),
    createChain({
      ...chain('returning'),
      ...nat,
      hook: 'postrouting',
      priority: SOURCE_NAT_PRIORITY,
    }),
    addRule(chain('arriving'), [...forward, destinationNat(table)], 'forwarded ports'),
    addRule(chain('local'), [...forward, destinationNat(table)], 'forwarded ports'),
    addRule(
      chain('returning'),
      [
        ...matchNetwork({ ...inside, field: 'source' }),
        ...matchNetwork({ ...inside, field: 'destination' }),
        ...forwarded(),
        masquerade(),
      ],
      'hairpin',
    ),
  ];
}

/** Forwards ports; EEXIST where one is forwarded already, and then none of them is. */
export function addPortForwards(table: NftTable, forwards: readonly PortForward[]): NetlinkRequest {
  return addElements(
    mapOf(table),
    forwards.map((forward) => elementOf(table, forward)),
  );
}

/** Forwards ports no longer; ENOENT where one was not. Connections that are open go on. */
export function deletePortForwards(
  table: NftTable,
  forwards: readonly Omit<PortForward, 'target'>[],
): NetlinkRequest {
  return deleteElements(
    mapOf(table),
    forwards.map((forward) => ({ key: keyOf(forward) })),
  );
}

/** The forwarded port that an element of the table's map stands for; undefined for a foreign one. */
export function parsePortForward({ key, value }: NftElement): PortForward | undefined {
  if (key.length !== 8 || (value.length !== 8 && value.length !== 20)) return undefined;
  const names = Object.keys(FORWARD_PROTOCOLS) as (keyof typeof FORWARD_PROTOCOLS)[];
  const protocol = names.find((name) => FORWARD_PROTOCOLS[name] === key[0]);
  if (!protocol) return undefined;
  const end = value.length - 4;
  const address = formatIpAddress(value.subarray(0, end));
  const port = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
  return { protocol, port: port(key, 4), target: { address, port: port(value, end) } };
}

/** The map that holds a table's forwarded ports, for `Nftables.elements`. */
export function portForwardMap(table: NftTable): NftMap {
  return mapOf(table);
}

const mapOf = (table: NftTable): NftMap => ({ ...table, map: FORWARDS });

function elementOf(table: NftTable, forward: PortForward): NftElement {
  const address = parseIpAddress(forward.target.address);
  checkFamily(table, address, forward.target.address);
  return {
    key: keyOf(forward),
    value: Uint8Array.of(...address, ...portField(forward.target.port)),
  };
}

function keyOf({ protocol, port }: Omit<PortForward, 'target'>): Uint8Array {
  return Uint8Array.of(FORWARD_PROTOCOLS[protocol], 0, 0, 0, ...portField(port));
}

/** Network byte order, padded to 4 bytes as every field of a concatenation. */
function portField(port: number): number[] {
  if (!(Number.isInteger(port) && port >= 1 && port <= 0xffff)) {
    throw new StrataError('EINVAL', `port ${port} is not between 1 and 65535`);
  }
  return [port >> 8, port & 0xff, 0, 0];
}

function checkFamily({ family }: NftTable, address: Uint8Array, shown: string): void {
  if (address.length === (family === 'ip' ? 4 : 16)) return;
  throw new StrataError('EINVAL', `${shown} is not of family ${family}`);
}

/** Goes on only for packets to an address of this machine. */
function localDestination(): NftExpression[] {
  return [
    expression('fib', (data) =>
      data
        .u32Network(1, REGISTER_1)
        .u32Network(2, FIB_ADDRESS_TYPE)
        .u32Network(3, FIB_BY_DESTINATION),
    ),
    compare(0, Uint8Array.of(RTN_LOCAL, 0, 0, 0)),
  ];
}

/** Loads the key of the map into register 1: the protocol's number, and the port it is sent to. */
function loadProtocolAndPort(): NftExpression[] {
  return [
    expression('meta', (data) => data.u32Network(1, REGISTER_1).u32Network(2, META_L4PROTO)),
    expression('payload', (data) =>
      data.u32Network(1, SECOND_WORD).u32Network(2, 2).u32Network(3, 2).u32Network(4, 2),
    ),
  ];
}

/** Goes on only for connections that were forwarded. */
function forwarded(): NftExpression[] {
  return [
    expression('ct', (data) => data.u32Network(1, REGISTER_1).u32Network(2, CT_STATUS)),
    expression('bitwise', (data) =>
      data
        .u32Network(1, REGISTER_1)
        .u32Network(2, REGISTER_1)
        .u32Network(3, 4)
        .nest(4, (mask) => mask.bytes(NFTA_DATA_VALUE, Uint8Array.of(IPS_DST_NAT, 0, 0, 0)))
        .nest(5, (flip) => flip.bytes(NFTA_DATA_VALUE, new Uint8Array(4))),
    ),
    compare(1, new Uint8Array(4)),
  ];
}

/** @param operation 0 equal, 1 not equal */
function compare(operation: number, value: Uint8Array): NftExpression {
  return expression('cmp', (data) =>
    data
      .u32Network(1, REGISTER_1)
      .u32Network(2, operation)
      .nest(3, (operand) => operand.bytes(NFTA_DATA_VALUE, value)),
  );
}

/** The address and port that the lookup left in register 1 become the packet's destination. */
function destinationNat({ family }: NftTable): NftExpression {
  return expression('nat', (data) =>
    data
      .u32Network(1, 1)
      .u32Network(2, NFT_FAMILIES[family])
      .u32Network(3, REGISTER_1)
      .u32Network(5, family === 'ip' ? SECOND_WORD : FIFTH_WORD),
  );
}
