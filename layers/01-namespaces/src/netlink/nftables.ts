/**
 * nftables over netlink: tables, chains and rules in one transaction.
 *
 *   BATCH_BEGIN │ NEWTABLE │ NEWCHAIN │ NEWRULE ... │ BATCH_END      one send, all or nothing
 *
 *    0        1         2             4
 *   ┌────────┬─────────┬─────────────┬─────────────────────────────┐
 *   │ family │ version │ resource id │ NFTA_TABLE_NAME, ...        │   integers in network order
 *   └────────┴─────────┴─────────────┴─────────────────────────────┘
 *   └─────────── nfgenmsg ───────────┘
 *
 * A rule is a list of expressions for the kernel's small register machine: load a field of the
 * packet into register 1, mask it, compare it (a comparison that fails ends the rule), act.
 *
 * Netlink instead of nft(8): nothing needs to be installed, a question takes 0.2 ms where executing
 * nft takes 5 to 7 more, and a mistake comes back as an errno with the message's name. A change costs
 * the kernel milliseconds either way (RCU).
 *
 * @see https://wiki.nftables.org, nft(8) `--debug=netlink`
 */
import { StrataError } from '../errors/strata-error.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { BodyWriter } from './attributes.ts';
import { type NetlinkRequest, NLM_F_APPEND, NLM_F_CREATE } from './message.ts';
import { refusal } from './netlink-error.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from './netlink-socket.ts';

const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_GETCHAIN = 4;
const NFT_MSG_NEWRULE = 6;
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
const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFT_REG_1 = 1;
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NF_ACCEPT = 1;
const ENOENT: ReadonlySet<number> = new Set([2]);

/** Protocol families of netfilter: NFPROTO_IPV4 and NFPROTO_IPV6. */
export const NFT_FAMILIES = { ip: 2, ip6: 10 } as const;
export type NftFamily = keyof typeof NFT_FAMILIES;
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

/** One step of a rule; writes its name and data. */
export type NftExpression = (writer: BodyWriter) => void;

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
    const batch = [batchMark(NFNL_MSG_BATCH_BEGIN), ...requests, batchMark(NFNL_MSG_BATCH_END)];
    // Kernels before 6.10 acknowledge no BATCH_END, so the last real message is the one to ask.
    const outcomes = this.#socket.exchange(batch, requests.length);
    for (const [index, outcome] of outcomes) {
      if (outcome.errno !== 0) throw refusal(batch[index], outcome);
    }
    if (!outcomes.has(requests.length)) {
      throw new StrataError('EAGAIN', 'the kernel did not acknowledge an nftables transaction');
    }
  }

  hasTable(table: NftTable): boolean {
    const body = header(table.family).string(NFTA_TABLE_NAME, table.name);
    const message = request(NFT_MSG_GETTABLE, `find table ${table.name}`, body);
    return this.#socket.get(message, ENOENT) !== undefined;
  }

  hasChain({ family, name, chain }: NftTable & { chain: string }): boolean {
    const body = header(family).string(NFTA_CHAIN_TABLE, name).string(NFTA_CHAIN_NAME, chain);
    const message = request(NFT_MSG_GETCHAIN, `find chain ${chain}`, body);
    return this.#socket.get(message, ENOENT) !== undefined;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** Creates a table, or does nothing where it exists. */
export function createTable({ family, name }: NftTable): NetlinkRequest {
  const body = header(family).string(NFTA_TABLE_NAME, name);
  return request(NFT_MSG_NEWTABLE, `create nftables table ${name}`, body, NLM_F_CREATE);
}

/** Deletes a table with all its chains and rules; ENOENT where it is not there. */
export function deleteTable({ family, name }: NftTable): NetlinkRequest {
  const body = header(family).string(NFTA_TABLE_NAME, name);
  return request(NFT_MSG_DELTABLE, `delete nftables table ${name}`, body);
}

/** Creates a chain that packets of a hook run through; its policy is to accept. */
export function createChain(chain: NftChain): NetlinkRequest {
  const body = header(chain.family)
    .string(NFTA_CHAIN_TABLE, chain.name)
    .string(NFTA_CHAIN_NAME, chain.chain)
    .nest(NFTA_CHAIN_HOOK, (hook) =>
      hook
        .u32Network(NFTA_HOOK_HOOKNUM, NFT_HOOKS[chain.hook])
        .u32Network(NFTA_HOOK_PRIORITY, chain.priority),
    )
    .u32Network(NFTA_CHAIN_POLICY, NF_ACCEPT)
    .string(NFTA_CHAIN_TYPE, chain.type);
  return request(NFT_MSG_NEWCHAIN, `create nftables chain ${chain.chain}`, body, NLM_F_CREATE);
}

/** Appends a rule to a chain. */
export function addRule(
  { family, name, chain }: NftTable & { chain: string },
  expressions: readonly NftExpression[],
): NetlinkRequest {
  const body = header(family)
    .string(NFTA_RULE_TABLE, name)
    .string(NFTA_RULE_CHAIN, chain)
    .nest(NFTA_RULE_EXPRESSIONS, (list) => {
      for (const expression of expressions) list.nest(NFTA_LIST_ELEM, expression);
    });
  return request(NFT_MSG_NEWRULE, `add rule to ${chain}`, body, NLM_F_CREATE | NLM_F_APPEND);
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

function expression(name: string, fill: (data: BodyWriter) => void): NftExpression {
  return (writer) => {
    writer.string(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, fill);
  };
}

function prefixMask(bytes: number, prefixLength: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return (0xff00 >> bits) & 0xff;
  });
}

/** struct nfgenmsg. */
function header(family: NftFamily): BodyWriter {
  return new BodyWriter().raw(Uint8Array.of(NFT_FAMILIES[family], 0, 0, 0));
}

function batchMark(type: number): NetlinkRequest {
  const body = Uint8Array.of(0, 0, 0, NFNL_SUBSYS_NFTABLES);
  return { type, flags: 0, body, step: 'nftables batch' };
}

function request(type: number, step: string, writer: BodyWriter, flags = 0): NetlinkRequest {
  return { type: (NFNL_SUBSYS_NFTABLES << 8) | type, flags, body: writer.finish(), step };
}
