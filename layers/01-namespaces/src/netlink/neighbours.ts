/**
 * Neighbours: which hardware address an IP address has (ARP, NDP). RTM_NEWNEIGH and its relatives.
 *
 *    0        4       8       10      11     12
 *   ┌────────┬───────┬───────┬───────┬──────┬─────────────────────┐
 *   │ family │ index │ state │ flags │ type │ NDA_DST, NDA_LLADDR │
 *   └────────┴───────┴───────┴───────┴──────┴─────────────────────┘
 *   └──────────────── ndmsg ────────────────┘
 */
import { Attributes, BodyWriter, malformed } from './attributes.ts';
import { addressFamily, formatIpAddress, parseIpAddress } from './ip-address.ts';
import { formatMacAddress, parseMacAddress } from './mac-address.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_REPLACE } from './message.ts';

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

export const NDMSG_BYTES = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_PERMANENT = 0x80;

/** We answer for the address, for whoever asks on the link (proxy ARP, proxy NDP). */
export const NTF_PROXY = 0x08;

export interface Neighbour {
  /** The link's index. */
  link: number;
  address: string;
  mac: string | undefined;
  /** NUD_* bits. */
  state: number;
  /** NTF_* bits. */
  flags: number;
}

/** Sets a neighbour for good; an entry that is there is replaced. */
export function setNeighbour(neighbour: {
  link: number;
  address: string;
  mac: string;
}): NetlinkRequest {
  return {
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body: writeNeighbour(neighbour, NUD_PERMANENT)
      .bytes(NDA_LLADDR, parseMacAddress(neighbour.mac))
      .finish(),
    step: `set neighbour ${neighbour.address} of link ${neighbour.link}`,
  };
}

/** Answers on a link for an address that is elsewhere; the same again does nothing. */
export function addProxyNeighbour(neighbour: { link: number; address: string }): NetlinkRequest {
  return proxyRequest(RTM_NEWNEIGH, 'answer', neighbour, NLM_F_CREATE);
}

/** Answers no longer; ENOENT where nobody did. */
export function deleteProxyNeighbour(neighbour: { link: number; address: string }): NetlinkRequest {
  return proxyRequest(RTM_DELNEIGH, 'stop answering', neighbour, 0);
}

/** Asks for the addresses that are answered for (a dump); `getNeighbours` leaves them out. */
export function getProxyNeighbours(): NetlinkRequest {
  const body = new Uint8Array(NDMSG_BYTES);
  body[10] = NTF_PROXY;
  return { type: RTM_GETNEIGH, flags: 0, body, step: 'list proxy neighbours' };
}

/** Forgets a neighbour; ENOENT where it is unknown. */
export function deleteNeighbour(neighbour: { link: number; address: string }): NetlinkRequest {
  return {
    type: RTM_DELNEIGH,
    flags: 0,
    body: writeNeighbour(neighbour, 0).finish(),
    step: `delete neighbour ${neighbour.address} of link ${neighbour.link}`,
  };
}

/** Asks for all neighbours (a dump). */
export function getNeighbours(): NetlinkRequest {
  const body = new Uint8Array(NDMSG_BYTES);
  return { type: RTM_GETNEIGH, flags: 0, body, step: 'list neighbours' };
}

/**
 * Reads the body of an RTM_NEWNEIGH; undefined for entries that are not about an IP address.
 * @throws {StrataError} EBADMSG for one that is cut off
 */
export function parseNeighbour(body: Uint8Array): Neighbour | undefined {
  if (body.length < NDMSG_BYTES) throw malformed(`a neighbour of ${body.length} bytes`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = Attributes.parse(body.subarray(NDMSG_BYTES));
  const address = attributes.bytes(NDA_DST);
  if (address?.length !== 4 && address?.length !== 16) return undefined;
  const mac = attributes.bytes(NDA_LLADDR);
  return {
    link: view.getInt32(4, true),
    address: formatIpAddress(address),
    mac: mac?.length === 6 ? formatMacAddress(mac) : undefined,
    state: view.getUint16(8, true),
    flags: view.getUint8(10),
  };
}

function proxyRequest(
  type: number,
  verb: string,
  neighbour: { link: number; address: string },
  flags: number,
): NetlinkRequest {
  const body = writeNeighbour(neighbour, 0).finish();
  body[10] = NTF_PROXY;
  return { type, flags, body, step: `${verb} for ${neighbour.address} on link ${neighbour.link}` };
}

function writeNeighbour(neighbour: { link: number; address: string }, state: number): BodyWriter {
  const address = parseIpAddress(neighbour.address);
  const header = new Uint8Array(NDMSG_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, addressFamily(address));
  view.setInt32(4, neighbour.link, true);
  view.setUint16(8, state, true);
  return new BodyWriter().raw(header).bytes(NDA_DST, address);
}
