/**
 * Rules as the kernel has them: listed with their handles, counters and comments; deleted by handle.
 *
 * A handle names a rule for as long as it lives and is never used again within its table.
 */
import { Attributes, attributeList, malformed } from './attributes.ts';
import type { NetlinkRequest } from './message.ts';
import {
  expression,
  NFTA_EXPR_DATA,
  NFTA_EXPR_NAME,
  type NftExpression,
  nftAttributes,
  nftBody,
  nftRequest,
} from './nft-message.ts';
import type { NftTable } from './nftables.ts';

export const NFT_MSG_NEWRULE = 6;
const NFT_MSG_GETRULE = 7;
const NFT_MSG_DELRULE = 8;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_RULE_USERDATA = 7;
const NFTA_COUNTER_BYTES = 1;
const NFTA_COUNTER_PACKETS = 2;
/** The comment among the user data: type, length with NUL, text. */
const UDATA_COMMENT = 0;

export interface NftRule {
  handle: bigint;
  /** The names of its expressions: `payload`, `cmp`, `masq`, ... */
  expressions: string[];
  comment: string | undefined;
  /** Of a rule with a `counter()`: what came as far as that. */
  counted: { packets: bigint; bytes: bigint } | undefined;
}

/** Counts the packets that come this far in the rule. */
export function counter(): NftExpression {
  return expression('counter', (data) =>
    data.u64Network(NFTA_COUNTER_BYTES, 0n).u64Network(NFTA_COUNTER_PACKETS, 0n),
  );
}

/** Asks for the rules of a chain (a dump). */
export function getRules({ family, name, chain }: NftTable & { chain: string }): NetlinkRequest {
  const body = nftBody(family).string(NFTA_RULE_TABLE, name).string(NFTA_RULE_CHAIN, chain);
  return nftRequest(NFT_MSG_GETRULE, `list rules of ${chain}`, body);
}

/** Deletes one rule; ENOENT where the handle names none. */
export function deleteRule({
  family,
  name,
  chain,
  handle,
}: NftTable & { chain: string; handle: bigint }): NetlinkRequest {
  const body = nftBody(family)
    .string(NFTA_RULE_TABLE, name)
    .string(NFTA_RULE_CHAIN, chain)
    .u64Network(NFTA_RULE_HANDLE, handle);
  return nftRequest(NFT_MSG_DELRULE, `delete rule ${handle} of ${chain}`, body);
}

/** The bytes of a rule's comment, for NFTA_RULE_USERDATA. */
export function ruleComment(comment: string): Uint8Array {
  const text = new TextEncoder().encode(`${comment}\0`);
  if (text.length > 128) throw malformed(`a comment of ${text.length - 1} bytes; 127 are allowed`);
  return Uint8Array.of(UDATA_COMMENT, text.length, ...text);
}

/**
 * Reads the body of an NFT_MSG_NEWRULE.
 * @throws {StrataError} EBADMSG for one that is cut off or has no handle
 */
export function parseNftRule(body: Uint8Array): NftRule {
  const attributes = Attributes.parse(nftAttributes(body));
  const handle = attributes.u64Network(NFTA_RULE_HANDLE);
  if (handle === undefined) throw malformed('an nftables rule without a handle');
  const list = attributes.bytes(NFTA_RULE_EXPRESSIONS) ?? new Uint8Array();
  const parsed = [...attributeList(list)].map(({ value }) => Attributes.parse(value));
  const counting = parsed
    .find((each) => each.string(NFTA_EXPR_NAME) === 'counter')
    ?.nested(NFTA_EXPR_DATA);
  return {
    handle,
    expressions: parsed.map((each) => each.string(NFTA_EXPR_NAME) ?? '?'),
    comment: parseComment(attributes.bytes(NFTA_RULE_USERDATA)),
    counted: counting && {
      packets: counting.u64Network(NFTA_COUNTER_PACKETS) ?? 0n,
      bytes: counting.u64Network(NFTA_COUNTER_BYTES) ?? 0n,
    },
  };
}

/** Other tools may have put anything there: what is no comment is left alone. */
function parseComment(data: Uint8Array | undefined): string | undefined {
  for (let at = 0; data && at + 2 <= data.length; at += 2 + data[at + 1]!) {
    const value = data.subarray(at + 2, at + 2 + data[at + 1]!);
    if (data[at] === UDATA_COMMENT) return new TextDecoder().decode(value).replace(/\0.*$/s, '');
  }
  return undefined;
}
