/**
 * A bridge's (or vxlan's) forwarding database: behind which port a hardware address is.
 *
 *   RTM_NEWNEIGH │ ndmsg, family AF_BRIDGE │ NDA_LLADDR, NDA_VLAN, NDA_DST
 *   flags: NTF_MASTER the bridge's own table, by port; NTF_SELF the link's, as a vxlan's
 *
 * @see bridge(8) `fdb`
 */
import { Attributes, BodyWriter, malformed } from './attributes.ts';
import { formatIpAddress, parseIpAddress } from './ip-address.ts';
import { formatMacAddress, parseMacAddress } from './mac-address.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './message.ts';
import {
  NDMSG_BYTES,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from './neighbours.ts';

const AF_BRIDGE = 7;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_VLAN = 5;
const NDA_MASTER = 9;
const NTF_SELF = 2;
const NTF_MASTER = 4;
const NUD_NOARP = 0x40;

export interface NewForwardingEntry {
  /** The port's index; of a vxlan its own. */
  link: number;
  mac: string;
  /** The table: that of the bridge the link is a port of, or the link's own. */
  table: 'bridge' | 'link';
  vlan?: number;
  /** Of a vxlan: the machine behind which the address is. */
  remote?: string;
}

export interface ForwardingEntry {
  link: number;
  mac: string;
  /** The bridge's index, of a port's entry. */
  bridge: number | undefined;
  vlan: number | undefined;
  remote: string | undefined;
  /** NUD_* bits: permanent entries are the bridge's own, noarp ones static. */
  state: number;
}

/** Adds a static entry; EEXIST where the address is known there. */
export function addForwardingEntry(entry: NewForwardingEntry): NetlinkRequest {
  return request(RTM_NEWNEIGH, 'add', entry, NLM_F_CREATE | NLM_F_EXCL);
}

/** Forgets an entry; ENOENT where the address is unknown. */
export function deleteForwardingEntry(entry: NewForwardingEntry): NetlinkRequest {
  return request(RTM_DELNEIGH, 'delete', entry, 0);
}

/** Asks for all entries (a dump). */
export function getForwardingEntries(): NetlinkRequest {
  const body = new Uint8Array(NDMSG_BYTES);
  body[0] = AF_BRIDGE;
  return { type: RTM_GETNEIGH, flags: 0, body, step: 'list forwarding entries' };
}

/**
 * Reads the body of an RTM_NEWNEIGH; undefined for one that is not about a hardware address.
 * @throws {StrataError} EBADMSG for one that is cut off
 */
export function parseForwardingEntry(body: Uint8Array): ForwardingEntry | undefined {
  if (body.length < NDMSG_BYTES) throw malformed(`a forwarding entry of ${body.length} bytes`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = Attributes.parse(body.subarray(NDMSG_BYTES));
  const mac = attributes.bytes(NDA_LLADDR);
  if (body[0] !== AF_BRIDGE || mac?.length !== 6) return undefined;
  const remote = attributes.bytes(NDA_DST);
  if (remote && remote.length !== 4 && remote.length !== 16) {
    throw malformed(`a remote address of ${remote.length} bytes`);
  }
  return {
    link: view.getInt32(4, true),
    mac: formatMacAddress(mac),
    bridge: attributes.u32(NDA_MASTER),
    vlan: attributes.u16(NDA_VLAN),
    remote: remote && formatIpAddress(remote),
    state: view.getUint16(8, true),
  };
}

function request(
  type: number,
  verb: string,
  entry: NewForwardingEntry,
  flags: number,
): NetlinkRequest {
  const header = new Uint8Array(NDMSG_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, AF_BRIDGE);
  view.setInt32(4, entry.link, true);
  // A permanent entry of a bridge's port would be an address of the bridge itself.
  view.setUint16(8, entry.table === 'bridge' ? NUD_NOARP : NUD_PERMANENT, true);
  view.setUint8(10, entry.table === 'bridge' ? NTF_MASTER : NTF_SELF);
  const writer = new BodyWriter().raw(header).bytes(NDA_LLADDR, parseMacAddress(entry.mac));
  if (entry.vlan !== undefined) writer.u16(NDA_VLAN, entry.vlan);
  if (entry.remote !== undefined) writer.bytes(NDA_DST, parseIpAddress(entry.remote));
  const step = `${verb} forwarding entry ${entry.mac} of link ${entry.link}`;
  return { type, flags, body: writer.finish(), step };
}
