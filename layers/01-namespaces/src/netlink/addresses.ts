/**
 * IP addresses of links: RTM_NEWADDR and its relatives.
 *
 *    0        1        2       3       4       8
 *   ┌────────┬────────┬───────┬───────┬───────┬──────────────────────────────────────────┐
 *   │ family │ prefix │ flags │ scope │ index │ IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST... │
 *   └────────┴────────┴───────┴───────┴───────┴──────────────────────────────────────────┘
 *   └───────────────── ifaddrmsg ─────────────┘
 *
 * IFA_ADDRESS is the address, but on a point-to-point link the peer's; IFA_LOCAL is always our own.
 */
import { StrataError } from '../errors/strata-error.ts';
import { AF_INET, AF_UNSPEC } from '../syscalls/constants.ts';
import { Attributes, BodyWriter, malformed } from './attributes.ts';
import { addressFamily, formatIpAddress, parseIpAddress } from './ip-address.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './message.ts';

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

const IFADDR_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_BROADCAST = 4;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const FOREVER_SECONDS = 0xffffffff;
/** No duplicate address detection (IPv6): the address is usable at once. */
export const IFA_F_NODAD = 0x02;
/** Another host has the address (IPv6). */
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_TENTATIVE = 0x40;
/** It was given for good, and does not expire. */
export const IFA_F_PERMANENT = 0x80;

export interface LinkAddress {
  /** The link's index. */
  link: number;
  address: string;
  /** The other end, of a point-to-point link. */
  peer: string | undefined;
  /** Bits. */
  prefixLength: number;
  /** 0 universe, 253 link, 254 host. */
  scope: number;
  /** IFA_F_* bits. */
  flags: number;
  label: string | undefined;
}

export interface NewAddress {
  /** The link's index. */
  link: number;
  address: string;
  /** Bits. */
  prefixLength: number;
  /** IFA_F_* bits. */
  flags?: number;
  /** The other end of a point-to-point link. */
  peer?: string;
  /** 0 universe (default), 253 link, 254 host. */
  scope?: number;
  /** Of IPv4 only: an old-style alias, the link's name or `name:suffix`. */
  label?: string;
  /** Seconds until the address goes; default: never. */
  validSeconds?: number;
  /** Seconds until new connections avoid it; default: as long as it is valid. */
  preferredSeconds?: number;
}

/** Gives a link an address, and with it the route to the address's network; EEXIST if it has it. */
export function addAddress(address: NewAddress): NetlinkRequest {
  return request(RTM_NEWADDR, 'add', address, NLM_F_CREATE | NLM_F_EXCL);
}

/** Takes an address from a link. */
export function deleteAddress(address: NewAddress): NetlinkRequest {
  return request(RTM_DELADDR, 'delete', address, 0);
}

/** Asks for all addresses (a dump). */
export function getAddresses(): NetlinkRequest {
  const body = new Uint8Array(IFADDR_BYTES);
  body[0] = AF_UNSPEC;
  return { type: RTM_GETADDR, flags: 0, body, step: 'list addresses' };
}

/**
 * Reads the body of an RTM_NEWADDR.
 * @throws {StrataError} EBADMSG for one that is cut off or has no address
 */
export function parseAddress(body: Uint8Array): LinkAddress {
  if (body.length < IFADDR_BYTES) throw malformed(`an address of ${body.length} bytes`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = Attributes.parse(body.subarray(IFADDR_BYTES));
  const bytes = attributes.bytes(IFA_LOCAL) ?? attributes.bytes(IFA_ADDRESS);
  if (bytes?.length !== 4 && bytes?.length !== 16) throw malformed('an address without an address');
  const address = formatIpAddress(bytes);
  const other = attributes.bytes(IFA_ADDRESS);
  if (other && other.length !== bytes.length) throw malformed('a peer of another family');
  const peer = other && formatIpAddress(other);
  return {
    link: view.getUint32(4, true),
    address,
    peer: peer === address ? undefined : peer,
    prefixLength: view.getUint8(1),
    scope: view.getUint8(3),
    flags: attributes.u32(IFA_FLAGS) ?? view.getUint8(2),
    label: attributes.string(IFA_LABEL),
  };
}

function request(type: number, verb: string, address: NewAddress, flags: number): NetlinkRequest {
  const bytes = parseIpAddress(address.address);
  const family = addressFamily(bytes);
  const { prefixLength, peer, scope, label } = address;
  if (!(Number.isInteger(prefixLength) && prefixLength >= 0 && prefixLength <= bytes.length * 8)) {
    throw new StrataError('EINVAL', `prefix length ${prefixLength} of ${address.address}`);
  }
  const peerBytes = peer === undefined ? bytes : parseIpAddress(peer);
  if (peerBytes.length !== bytes.length) {
    throw new StrataError('EINVAL', `${address.address} and peer ${peer} differ in family`);
  }
  const header = new Uint8Array(IFADDR_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, family);
  view.setUint8(1, address.prefixLength);
  view.setUint8(3, scope ?? 0);
  view.setUint32(4, address.link, true);
  const writer = new BodyWriter().raw(header).bytes(IFA_LOCAL, bytes).bytes(IFA_ADDRESS, peerBytes);
  // The kernel sets no broadcast address by itself; ip(8)'s "brd +" computes the same.
  if (family === AF_INET && prefixLength < 31 && type === RTM_NEWADDR && peer === undefined) {
    writer.bytes(IFA_BROADCAST, broadcastAddress(bytes, address.prefixLength));
  }
  if (address.flags !== undefined) writer.u32(IFA_FLAGS, address.flags);
  if (label !== undefined) writer.string(IFA_LABEL, label);
  if (type === RTM_NEWADDR) writeLifetime(writer, address);
  const step = `${verb} address ${address.address}/${address.prefixLength} of link ${address.link}`;
  return { type, flags, body: writer.finish(), step };
}

/** struct ifa_cacheinfo: preferred and valid seconds, then two timestamps that only the kernel sets. */
function writeLifetime(writer: BodyWriter, { validSeconds, preferredSeconds }: NewAddress): void {
  if (validSeconds === undefined && preferredSeconds === undefined) return;
  const valid = validSeconds ?? FOREVER_SECONDS;
  const info = Uint32Array.of(preferredSeconds ?? valid, valid, 0, 0);
  writer.bytes(IFA_CACHEINFO, new Uint8Array(info.buffer));
}

/** The address with all host bits set. */
function broadcastAddress(address: Uint8Array, prefixLength: number): Uint8Array {
  return address.map((byte, index) => {
    const networkBits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte | (0xff >> networkBits);
  });
}
