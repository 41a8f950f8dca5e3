/**
 * The ways of a route that has several (RTA_MULTIPATH): packets are spread over them by weight.
 *
 *    0        2       3        4       8
 *   ┌────────┬───────┬────────┬───────┬─────────────┐
 *   │ length │ flags │ weight │ index │ RTA_GATEWAY │  next hop at a multiple of 4
 *   └────────┴───────┴────────┴───────┴─────────────┘
 *   └────────────── rtnexthop ────────┘   weight is stored less one
 */
import { StrataError } from '../errors/strata-error.ts';
import { Attributes, aligned, BodyWriter, malformed } from './attributes.ts';
import { formatIpAddress, parseIpAddress } from './ip-address.ts';

const HOP_BYTES = 8;
const RTA_GATEWAY = 5;
export const RTNH_F_ONLINK = 4;

export interface NextHop {
  gateway?: string;
  /** The link's index; 0 or left out: the one that leads to the gateway. */
  link?: number;
  /** 1 to 256; default 1. */
  weight?: number;
}

/** The bytes of a list of hops. */
export function writeHops(hops: readonly NextHop[]): Uint8Array {
  const writer = new BodyWriter();
  for (const { gateway, link = 0, weight = 1 } of hops) {
    if (!(Number.isInteger(weight) && weight >= 1 && weight <= 256)) {
      throw new StrataError('EINVAL', `weight ${weight} of a hop is not between 1 and 256`);
    }
    const attributes = new BodyWriter();
    if (gateway !== undefined) attributes.bytes(RTA_GATEWAY, parseIpAddress(gateway));
    const rest = attributes.finish();
    const header = new Uint8Array(HOP_BYTES);
    const view = new DataView(header.buffer);
    view.setUint16(0, HOP_BYTES + rest.length, true);
    view.setUint8(3, weight - 1);
    view.setInt32(4, link, true);
    writer.raw(header).raw(rest);
  }
  return writer.finish();
}

/**
 * Reads a list of hops.
 * @throws {StrataError} EBADMSG where one is cut off
 */
export function parseHops(bytes: Uint8Array): NextHop[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hops: NextHop[] = [];
  for (let at = 0; at < bytes.length; ) {
    const left = bytes.length - at;
    const size = left >= HOP_BYTES ? view.getUint16(at, true) : 0;
    if (size < HOP_BYTES || size > left)
      throw malformed(`a hop of ${size} bytes; ${left} are there`);
    const gateway = Attributes.parse(bytes.subarray(at + HOP_BYTES, at + size)).bytes(RTA_GATEWAY);
    if (gateway && gateway.length !== 4 && gateway.length !== 16) {
      throw malformed(`a hop's gateway of ${gateway.length} bytes`);
    }
    hops.push({
      ...(gateway && { gateway: formatIpAddress(gateway) }),
      link: view.getInt32(at + 4, true),
      weight: view.getUint8(at + 3) + 1,
    });
    at += aligned(size);
  }
  return hops;
}

/** An address of the hops, to know their family by. */
export function hopAddress(hops: readonly NextHop[] | undefined): Uint8Array | undefined {
  const gateway = hops?.find((hop) => hop.gateway !== undefined)?.gateway;
  return gateway === undefined ? undefined : parseIpAddress(gateway);
}
