/**
 * What all messages of nftables have in common: the header, and a rule's expressions.
 *
 *    0        1         2             4
 *   ┌────────┬─────────┬─────────────┬─────────────────────────────┐
 *   │ family │ version │ resource id │ NFTA_TABLE_NAME, ...        │   integers in network order
 *   └────────┴─────────┴─────────────┴─────────────────────────────┘
 *   └─────────── nfgenmsg ───────────┘
 */
import { BodyWriter, malformed } from './attributes.ts';
import type { NetlinkRequest } from './message.ts';

export const NFNL_SUBSYS_NFTABLES = 10;
export const NFGEN_BYTES = 4;
export const NFTA_LIST_ELEM = 1;
export const NFTA_EXPR_NAME = 1;
export const NFTA_EXPR_DATA = 2;
export const NFTA_DATA_VALUE = 1;

/** Protocol families of netfilter: NFPROTO_IPV4 and NFPROTO_IPV6. */
export const NFT_FAMILIES = { ip: 2, ip6: 10 } as const;
export type NftFamily = keyof typeof NFT_FAMILIES;

/** One step of a rule; writes its name and data. */
export type NftExpression = (writer: BodyWriter) => void;

export function expression(name: string, fill: (data: BodyWriter) => void): NftExpression {
  return (writer) => {
    writer.string(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, fill);
  };
}

/** A body that begins with struct nfgenmsg. */
export function nftBody(family: NftFamily): BodyWriter {
  return new BodyWriter().raw(Uint8Array.of(NFT_FAMILIES[family], 0, 0, 0));
}

export function nftRequest(
  type: number,
  step: string,
  writer: BodyWriter,
  flags = 0,
): NetlinkRequest {
  return { type: (NFNL_SUBSYS_NFTABLES << 8) | type, flags, body: writer.finish(), step };
}

/** The attributes of a received message. @throws {StrataError} EBADMSG for one that is cut off */
export function nftAttributes(body: Uint8Array): Uint8Array {
  if (body.length < NFGEN_BYTES) throw malformed(`an nftables message of ${body.length} bytes`);
  return body.subarray(NFGEN_BYTES);
}
