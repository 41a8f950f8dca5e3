/**
 * What has gone through a link since it was created: struct rtnl_link_stats64, 64 bits each.
 *
 * @see https://docs.kernel.org/networking/statistics.html
 */
import { Attributes, malformed } from './attributes.ts';
import { IFINFO_BYTES, type LinkReference, RTM_GETLINK, referenceBody } from './links.ts';
import type { NetlinkRequest } from './message.ts';

const IFLA_STATS64 = 23;
/** In the order of the struct; newer kernels append fields, which are not read. */
const FIELDS = [
  'receivedPackets',
  'sentPackets',
  'receivedBytes',
  'sentBytes',
  'receiveErrors',
  'sendErrors',
  'receiveDropped',
  'sendDropped',
  'multicast',
  'collisions',
] as const;

/** Counters; they wrap at 2^64. */
export type LinkStatistics = Readonly<Record<(typeof FIELDS)[number], bigint>>;

/** Asks for one link with its statistics. */
export function getLinkStatistics(link: LinkReference): NetlinkRequest {
  const body = referenceBody(link).finish();
  return { type: RTM_GETLINK, flags: 0, body, step: `read the statistics of link ${link}` };
}

/**
 * Reads the statistics in the body of an RTM_NEWLINK.
 * @throws {StrataError} EBADMSG for one that is cut off or has none
 */
export function parseLinkStatistics(body: Uint8Array): LinkStatistics {
  if (body.length < IFINFO_BYTES) throw malformed(`a link of ${body.length} bytes`);
  const bytes = Attributes.parse(body.subarray(IFINFO_BYTES)).bytes(IFLA_STATS64);
  if (bytes === undefined || bytes.length < FIELDS.length * 8) {
    throw malformed(`link statistics of ${bytes?.length ?? 0} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = FIELDS.map((name, index) => [name, view.getBigUint64(index * 8, true)]);
  return Object.fromEntries(entries) as LinkStatistics;
}
