/**
 * nftables over netlink: tables, chains and rules in one transaction.
 *
 *   BATCH_BEGIN │ NEWTABLE │ NEWCHAIN │ NEWRULE ... │ BATCH_END      one send, all or nothing
 *
 * A rule is a list of expressions for the kernel's small register machine: load a field of the
 * packet into register 1, mask it, compare it (a comparison that fails ends the rule), act.
 *
 * Netlink instead of nft(8): nothing needs to be installed, a question takes 0.2 ms where executing
 * nft takes 5 to 7 more, and a mistake comes back as an errno with the message's name. A change costs
 * the kernel milliseconds either way (RCU). docs/decisions/009 weighs the two.
 *
 * @see https://wiki.nftables.org, nft(8) `--debug=netlink`
 */
import { StrataError } from '../errors/strata-error.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { Attributes, BodyWriter, malformed } from './attributes.ts';
import { type NetlinkMessage, type NetlinkRequest, NLM_F_APPEND, NLM_F_CREATE } from './message.ts';
import { refusal } from './netlink-error.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from './netlink-socket.ts';
import {
  getElements,
  NFT_MSG_NEWSETELEM,
  type NftElement,
  type NftMap,
  parseElements,
} from './nft-maps.ts';
import {
  expression,
  NFNL_SUBSYS_NFTABLES,
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  type NftExpression,
  type NftFamily,
  nftAttributes,
  nftBody,
  nftRequest,
} from './nft-message.ts';
import { getRules, NFT_MSG_NEWRULE, type NftRule, parseNftRule, ruleComment } from './nft-rules.ts';

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_GETCHAIN = 4;
const NFT_MSG_GETGEN = 16;
const NFTA_GEN_ID = 1;
const NFNL_BATCH_GENID = 1;
const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_RULE_USERDATA = 7;
const NFT_REG_1 = 1;
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NF_ACCEPT = 1;
const ENOENT: ReadonlySet<number> = new Set([2]);

export const NFT_HOOKS = {
  prerouting: 0,
  input: 1,
  forward: 2,
  output: 3,
  postrouting: 4,
} as const;

export interface NftTable {
  family: NftFamily;
  name: string;
}

export interface NftChain extends NftTable {
  chain: string;
  type: 'filter' | 'nat' | 'route';
  hook: keyof typeof NFT_HOOKS;
  /** Lower runs earlier; 100 is source NAT, -100 destination NAT, 0 filtering. */
  priority: number;
}

/** A connection to the nftables of one network namespace. */
export class Nftables implements Disposable {
  readonly #socket: NetlinkSocket;

  /** Opens a socket in the network namespace of whoever executes `sys`; default: this thread. */
  constructor(sys: Syscalls = localSyscalls()) {
    this.#socket = new NetlinkSocket(sys, NETLINK_NETFILTER);
  }

  /**
   * Executes requests as one transaction: all of them or none.
   * @throws {NetlinkError} for the first that the kernel refused, with its step
   */
  transact(...requests: readonly NetlinkRequest[]): void {
    this.#transact(requests, batchMark(NFNL_MSG_BATCH_BEGIN));
  }

  /**
   * As `transact`, unless anybody has changed any table since `generation` was asked for: what was
   * read before would no longer be what the transaction was made for.
   * @throws {NetlinkError} ERESTART where somebody has: read again, and try again
   */
  transactSince(generation: number, ...requests: readonly NetlinkRequest[]): void {
    this.#transact(requests, batchMark(NFNL_MSG_BATCH_BEGIN, generation));
  }

  #transact(requests: readonly NetlinkRequest[], begin: NetlinkRequest): void {
    if (requests.length === 0) return;
    const batch = [begin, ...requests, batchMark(NFNL_MSG_BATCH_END)];
    // Kernels before 6.10 acknowledge no BATCH_END, so the last real message is the one to ask.
    const outcomes = this.#socket.exchange(batch, requests.length);
    for (const [index, outcome] of outcomes) {
      if (outcome.errno !== 0) throw refusal(batch[index], outcome);
    }
    if (!outcomes.has(requests.length)) {
      throw new StrataError('EAGAIN', 'the kernel did not acknowledge an nftables transaction');
    }
  }

  /** The number of the last transaction in this network namespace, whoever made it. */
  generation(): number {
    const request = nftRequest(NFT_MSG_GETGEN, 'find the generation', nftBody('ip'));
    const message = this.#socket.get(request, new Set());
    return parseGeneration(message!.body);
  }

  /** The rules of a chain in their order. @throws {NetlinkError} ENOENT where there is no such chain */
  rules(chain: NftTable & { chain: string }): NftRule[] {
    return this.#all(getRules(chain), NFT_MSG_NEWRULE).map(({ body }) => parseNftRule(body));
  }

  /** The elements of a map, in no order. @throws {NetlinkError} ENOENT where there is no such map */
  elements(map: NftMap): NftElement[] {
    return this.#all(getElements(map), NFT_MSG_NEWSETELEM).flatMap(({ body }) =>
      parseElements(body),
    );
  }

  #all(request: NetlinkRequest, type: number): NetlinkMessage[] {
    const full = (NFNL_SUBSYS_NFTABLES << 8) | type;
    return this.#socket.dump(request).filter((message) => message.type === full);
  }

  hasTable(table: NftTable): boolean {
    const body = nftBody(table.family).string(NFTA_TABLE_NAME, table.name);
    const message = nftRequest(NFT_MSG_GETTABLE, `find table ${table.name}`, body);
    return this.#socket.get(message, ENOENT) !== undefined;
  }

  hasChain({ family, name, chain }: NftTable & { chain: string }): boolean {
    const body = nftBody(family).string(NFTA_CHAIN_TABLE, name).string(NFTA_CHAIN_NAME, chain);
    const message = nftRequest(NFT_MSG_GETCHAIN, `find chain ${chain}`, body);
    return this.#socket.get(message, ENOENT) !== undefined;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** Creates a table, or does nothing where it exists. */
export function createTable({ family, name }: NftTable): NetlinkRequest {
  const body = nftBody(family).string(NFTA_TABLE_NAME, name);
  return nftRequest(NFT_MSG_NEWTABLE, `create nftables table ${name}`, body, NLM_F_CREATE);
}

/** Deletes a table with all its chains and rules; ENOENT where it is not there. */
export function deleteTable({ family, name }: NftTable): NetlinkRequest {
  const body = nftBody(family).string(NFTA_TABLE_NAME, name);
  return nftRequest(NFT_MSG_DELTABLE, `delete nftables table ${name}`, body);
}

/** Creates a chain that packets of a hook run through; its policy is to accept. */
export function createChain(chain: NftChain): NetlinkRequest {
  const body = nftBody(chain.family)
    .string(NFTA_CHAIN_TABLE, chain.name)
    .string(NFTA_CHAIN_NAME, chain.chain)
    .nest(NFTA_CHAIN_HOOK, (hook) =>
      hook
        .u32Network(NFTA_HOOK_HOOKNUM, NFT_HOOKS[chain.hook])
        .u32Network(NFTA_HOOK_PRIORITY, chain.priority),
    )
    .u32Network(NFTA_CHAIN_POLICY, NF_ACCEPT)
    .string(NFTA_CHAIN_TYPE, chain.type);
  return nftRequest(NFT_MSG_NEWCHAIN, `create nftables chain ${chain.chain}`, body, NLM_F_CREATE);
}

/**
 * Appends a rule to a chain.
 * @param comment at most 127 bytes, for people
 */
export function addRule(
  { family, name, chain }: NftTable & { chain: string },
  expressions: readonly NftExpression[],
  comment?: string,
): NetlinkRequest {
  const body = nftBody(family)
    .string(NFTA_RULE_TABLE, name)
    .string(NFTA_RULE_CHAIN, chain)
    .nest(NFTA_RULE_EXPRESSIONS, (list) => {
      for (const expression of expressions) list.nest(NFTA_LIST_ELEM, expression);
    });
  if (comment !== undefined) body.bytes(NFTA_RULE_USERDATA, ruleComment(comment));
  return nftRequest(NFT_MSG_NEWRULE, `add rule to ${chain}`, body, NLM_F_CREATE | NLM_F_APPEND);
}

/** Goes on only if an address field of the packet is (or is not) within a network. */
export function matchNetwork(match: {
  family: NftFamily;
  field: 'source' | 'destination';
  network: Uint8Array;
  /** Bits. */
  prefixLength: number;
  negate?: boolean;
}): NftExpression[] {
  const length = match.network.length;
  const first = match.family === 'ip' ? 12 : 8;
  const offset = match.field === 'source' ? first : first + length;
  const mask = prefixMask(length, match.prefixLength);
  const masked = match.network.map((byte, index) => byte & mask[index]!);
  return [
    expression('payload', (data) =>
      data
        .u32Network(1, NFT_REG_1)
        .u32Network(2, NFT_PAYLOAD_NETWORK_HEADER)
        .u32Network(3, offset)
        .u32Network(4, length),
    ),
    expression('bitwise', (data) =>
      data
        .u32Network(1, NFT_REG_1)
        .u32Network(2, NFT_REG_1)
        .u32Network(3, length)
        .nest(4, (value) => value.bytes(NFTA_DATA_VALUE, mask))
        .nest(5, (value) => value.bytes(NFTA_DATA_VALUE, new Uint8Array(length))),
    ),
    expression('cmp', (data) =>
      data
        .u32Network(1, NFT_REG_1)
        .u32Network(2, match.negate ? 1 : 0)
        .nest(3, (value) => value.bytes(NFTA_DATA_VALUE, masked)),
    ),
  ];
}

/** Replaces the packet's source by the address of the interface it leaves through. */
export function masquerade(): NftExpression {
  return expression('masq', () => undefined);
}

function prefixMask(bytes: number, prefixLength: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return (0xff00 >> bits) & 0xff;
  });
}

/**
 * Reads the body of an NFT_MSG_NEWGEN.
 * @throws {StrataError} EBADMSG for one that is cut off or has no number
 */
export function parseGeneration(body: Uint8Array): number {
  const id = Attributes.parse(nftAttributes(body)).u32Network(NFTA_GEN_ID);
  if (id === undefined) throw malformed('a generation without its number');
  return id;
}

function batchMark(type: number, generation?: number): NetlinkRequest {
  const writer = new BodyWriter().raw(Uint8Array.of(0, 0, 0, NFNL_SUBSYS_NFTABLES));
  if (generation !== undefined) writer.u32Network(NFNL_BATCH_GENID, generation);
  return { type, flags: 0, body: writer.finish(), step: 'nftables batch' };
}
