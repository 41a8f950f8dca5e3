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
const IFA_FLAGS = 8;
/** No duplicate address detection (IPv6): the address is usable at once. */
export const IFA_F_NODAD = 0x02;
export const IFA_F_TENTATIVE = 0x40;

export interface LinkAddress {
  /** The link's index. */
  link: number;
  address: string;
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
  return {
    link: view.getUint32(4, true),
    address: formatIpAddress(bytes),
    prefixLength: view.getUint8(1),
    scope: view.getUint8(3),
    flags: attributes.u32(IFA_FLAGS) ?? view.getUint8(2),
    label: attributes.string(IFA_LABEL),
  };
}

function request(type: number, verb: string, address: NewAddress, flags: number): NetlinkRequest {
  const bytes = parseIpAddress(address.address);
  const family = addressFamily(bytes);
  const header = new Uint8Array(IFADDR_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, family);
  view.setUint8(1, address.prefixLength);
  view.setUint32(4, address.link, true);
  const writer = new BodyWriter().raw(header).bytes(IFA_LOCAL, bytes).bytes(IFA_ADDRESS, bytes);
  // The kernel sets no broadcast address by itself; ip(8)'s "brd +" computes the same.
  if (family === AF_INET && address.prefixLength < 31 && type === RTM_NEWADDR) {
    writer.bytes(IFA_BROADCAST, broadcastAddress(bytes, address.prefixLength));
  }
  if (address.flags !== undefined) writer.u32(IFA_FLAGS, address.flags);
  const step = `${verb} address ${address.address}/${address.prefixLength} of link ${address.link}`;
  return { type, flags, body: writer.finish(), step };
}

/** The address with all host bits set. */
function broadcastAddress(address: Uint8Array, prefixLength: number): Uint8Array {
  return address.map((byte, index) => {
    const networkBits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte | (0xff >> networkBits);
  });
}
