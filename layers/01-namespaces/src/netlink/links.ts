/**
 * Network interfaces ("links"): RTM_NEWLINK and its relatives.
 *
 *    0        2       4       8       12      16
 *   ┌────────┬───────┬───────┬───────┬───────┬──────────────────────────────────────┐
 *   │ family │ type  │ index │ flags │change │ IFLA_IFNAME, IFLA_MTU, IFLA_MASTER...│
 *   └────────┴───────┴───────┴───────┴───────┴──────────────────────────────────────┘
 *   └────────────── ifinfomsg ──────────────┘
 *   flags counts only where `change` has the same bit
 *
 * The functions build requests and execute nothing; several of them travel in one
 * `RouteNetlink.execute`. One message can do a lot: a veth pair is created with its other end in
 * another namespace, its MTU and addresses set, enslaved to a bridge and up, all at once.
 *
 * @see rtnetlink(7)
 */
import { StrataError } from '../errors/strata-error.ts';
import { Attributes, BodyWriter, malformed } from './attributes.ts';
import { kindName, type LinkKind, writeKindData } from './link-kinds.ts';
import { formatMacAddress, parseMacAddress } from './mac-address.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './message.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;

export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_LOOPBACK = 0x8;
export const IFF_PROMISC = 0x100;
export const IFF_LOWER_UP = 0x10000;

export const IFINFO_BYTES = 16;
export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINK = 5;
export const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_LINK_NETNSID = 37;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const RTEXT_FILTER_SKIP_STATS = 8;
const VETH_INFO_PEER = 1;
const OPERATIONAL_STATES = [
  'unknown',
  'notpresent',
  'down',
  'lowerlayerdown',
  'testing',
  'dormant',
  'up',
] as const;

export interface Link {
  index: number;
  name: string;
  /** IFF_* bits. */
  flags: number;
  up: boolean;
  /** Bytes of payload in one packet. */
  mtu: number;
  /** `aa:bb:cc:dd:ee:ff`; undefined for links without a hardware address. */
  mac: string | undefined;
  operationalState: (typeof OPERATIONAL_STATES)[number];
  /** The link (a bridge, mostly) this one is a port of. */
  master: number | undefined;
  /** The link underneath: of a VLAN its carrier, of a veth its peer (maybe in another namespace). */
  lower: number | undefined;
  /** The id by which this namespace knows the one `lower` is in; undefined for its own. */
  lowerNamespaceId: number | undefined;
  /** 'veth', 'bridge', ...; undefined for hardware and loopback. */
  kind: string | undefined;
}

/** What can be said of a link both at its creation and later. */
export interface LinkSettings {
  up?: boolean;
  /** Bytes. */
  mtu?: number;
  mac?: string;
  /** The index of the link this one becomes a port of; 0 frees it. */
  master?: number;
  /** The namespace the link goes to: a descriptor of the process that executes the request. */
  namespaceFd?: number;
}

export interface NewLink extends LinkSettings {
  name: string;
  kind: LinkKind;
  /** Transmit and receive queues; the kernel's default for veth is one per processor. */
  queues?: number;
}

/** By index where it is known, else by name: an index cannot be taken over by a new link. */
export type LinkReference = number | string;

/** Creates a link; fails with EEXIST where the name is taken. */
export function createLink(link: NewLink): NetlinkRequest {
  const writer = new BodyWriter().raw(linkHeader(0, link.up));
  writer.string(IFLA_IFNAME, checkLinkName(link.name));
  writeSettings(writer, link);
  if (link.queues !== undefined) {
    writer.u32(IFLA_NUM_TX_QUEUES, link.queues).u32(IFLA_NUM_RX_QUEUES, link.queues);
  }
  writer.nest(IFLA_LINKINFO, (info) => {
    info.string(IFLA_INFO_KIND, kindName(link.kind));
    const { kind } = link;
    if (kind.kind === 'veth') {
      info.nest(IFLA_INFO_DATA, (data) =>
        data.nest(VETH_INFO_PEER, (peer) => writePeer(peer, kind.peer)),
      );
    } else {
      info.nest(IFLA_INFO_DATA, (data) => writeKindData(data, kind));
    }
  });
  // A VLAN, macvlan or vxlan names its lower link outside of its data.
  if ('lower' in link.kind && link.kind.lower !== undefined) writer.u32(IFLA_LINK, link.kind.lower);
  return request(
    RTM_NEWLINK,
    `create ${kindName(link.kind)} ${link.name}`,
    writer,
    NLM_F_CREATE | NLM_F_EXCL,
  );
}

/**
 * Changes a link. A link that moves to another namespace loses its addresses and goes down.
 * @param settings.name may end in `%d`, for which the kernel puts the first number that is free
 */
export function changeLink(
  link: LinkReference,
  settings: LinkSettings & { name?: string },
): NetlinkRequest {
  const writer = new BodyWriter().raw(linkHeader(typeof link === 'number' ? link : 0, settings.up));
  if (typeof link === 'string') {
    if (settings.name !== undefined) {
      throw new StrataError('EINVAL', `renaming ${link} needs its index, not its name`);
    }
    writer.string(IFLA_IFNAME, checkLinkName(link));
  } else if (settings.name !== undefined) {
    // A number takes up as much room as what it stands for, or more.
    checkLinkName(settings.name.replace(/%d$/, '00'));
    writer.string(IFLA_IFNAME, settings.name);
  }
  writeSettings(writer, settings);
  return request(RTM_NEWLINK, `change link ${link}`, writer);
}

/**
 * Deletes a link; a veth takes its peer with it. The kernel needs milliseconds for it (it waits
 * until no processor can still see the device), all within the request.
 */
export function deleteLink(link: LinkReference): NetlinkRequest {
  return request(RTM_DELLINK, `delete link ${link}`, referenceBody(link));
}

/** Asks for one link. */
export function getLink(link: LinkReference): NetlinkRequest {
  const body = referenceBody(link).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return request(RTM_GETLINK, `find link ${link}`, body);
}

/** Asks for all links (a dump). */
export function getLinks(): NetlinkRequest {
  const body = new BodyWriter().raw(linkHeader(0)).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return request(RTM_GETLINK, 'list links', body);
}

/**
 * Reads the body of an RTM_NEWLINK.
 * @throws {StrataError} EBADMSG for one that is cut off or has no name
 */
export function parseLink(body: Uint8Array): Link {
  if (body.length < IFINFO_BYTES) throw malformed(`a link of ${body.length} bytes`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = Attributes.parse(body.subarray(IFINFO_BYTES));
  const name = attributes.string(IFLA_IFNAME);
  if (name === undefined) throw malformed('a link without a name');
  const flags = view.getUint32(8, true);
  const mac = attributes.bytes(IFLA_ADDRESS);
  return {
    index: view.getInt32(4, true),
    name,
    flags,
    up: (flags & IFF_UP) !== 0,
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    mac: mac?.length === 6 ? formatMacAddress(mac) : undefined,
    operationalState: OPERATIONAL_STATES[attributes.u8(IFLA_OPERSTATE) ?? 0] ?? 'unknown',
    master: attributes.u32(IFLA_MASTER),
    lower: attributes.u32(IFLA_LINK),
    lowerNamespaceId: attributes.i32(IFLA_LINK_NETNSID),
    kind: attributes.nested(IFLA_LINKINFO)?.string(IFLA_INFO_KIND),
  };
}

/**
 * The kernel's rule for interface names (dev_valid_name): 1 to 15 bytes without `/`, `:` and blanks.
 * @throws {StrataError} INVALID_LINK_NAME
 */
export function checkLinkName(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes < 1 || bytes > 15 || name === '.' || name === '..' || /[/:\s\0%]/.test(name)) {
    throw new StrataError('INVALID_LINK_NAME', `not an interface name: ${JSON.stringify(name)}`, {
      hint: 'a name has 1 to 15 bytes and no slash, colon, percent sign or blank',
    });
  }
  return name;
}

/** The other end of a veth pair, as its first end's creation describes it. */
function writePeer(writer: BodyWriter, peer: LinkSettings & { name: string }): void {
  if (peer.up || peer.master !== undefined) {
    // veth_open refuses while the pair is not joined yet, and masters are set for the first end only.
    throw new StrataError(
      'EINVAL',
      `the peer ${peer.name} of a veth cannot be created up or as a port`,
    );
  }
  writer.raw(linkHeader(0)).string(IFLA_IFNAME, checkLinkName(peer.name));
  writeSettings(writer, peer);
}

function writeSettings(writer: BodyWriter, settings: LinkSettings): void {
  const { mtu, mac, master, namespaceFd } = settings;
  if (mtu !== undefined) writer.u32(IFLA_MTU, mtu);
  if (mac !== undefined) writer.bytes(IFLA_ADDRESS, parseMacAddress(mac));
  if (master !== undefined) writer.u32(IFLA_MASTER, master);
  if (namespaceFd !== undefined) writer.u32(IFLA_NET_NS_FD, namespaceFd);
}

/** The body of a request about one link. */
export function referenceBody(link: LinkReference): BodyWriter {
  if (typeof link === 'number') return new BodyWriter().raw(linkHeader(link));
  return new BodyWriter().raw(linkHeader(0)).string(IFLA_IFNAME, checkLinkName(link));
}

/** struct ifinfomsg. */
function linkHeader(index: number, up?: boolean): Uint8Array {
  const bytes = new Uint8Array(IFINFO_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, up ? IFF_UP : 0, true);
  view.setUint32(12, up === undefined ? 0 : IFF_UP, true);
  return bytes;
}

function request(type: number, step: string, writer: BodyWriter, flags = 0): NetlinkRequest {
  return { type, flags, body: writer.finish(), step };
}
