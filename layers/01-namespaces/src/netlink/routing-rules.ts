/**
 * Routing rules: which table a packet's route is looked up in. RTM_NEWRULE and its relatives.
 *
 *    0        1         2         3     4       5          7        8       12
 *   ┌────────┬─────────┬─────────┬─────┬───────┬──────────┬────────┬───────┬──────────────────────┐
 *   │ family │ dst len │ src len │ tos │ table │ reserved │ action │ flags │ FRA_SRC, FRA_FWMARK  │
 *   └────────┴─────────┴─────────┴─────┴───────┴──────────┴────────┴───────┴──────────────────────┘
 *   └──────────────────────────── fib_rule_hdr ────────────────────────────┘
 *
 * Rules are tried by rising priority; every namespace begins with 0 (local), 32766 (main) and, for
 * IPv4, 32767 (default).
 *
 * @see ip-rule(8)
 */
import { StrataError } from '../errors/strata-error.ts';
import { AF_INET, AF_INET6 } from '../syscalls/constants.ts';
import { Attributes, BodyWriter, malformed } from './attributes.ts';
import { formatIpAddress, parseInterfaceAddress, parseIpAddress } from './ip-address.ts';
import { checkLinkName } from './links.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './message.ts';

export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;

const RULE_BYTES = 12;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_OIFNAME = 17;
const FIB_RULE_INVERT = 2;
/** What becomes of a packet that the rule is about; FR_ACT_*. */
export const RULE_ACTIONS = { lookup: 1, blackhole: 6, unreachable: 7, prohibit: 8 } as const;
export type RuleAction = keyof typeof RULE_ACTIONS;

export interface NewRoutingRule {
  family: 'ip' | 'ip6';
  /** Lower is tried earlier; the kernel chooses the one before the lowest where it is left out. */
  priority?: number;
  /** `10.88.0.0/16`; left out: from anywhere. */
  source?: string;
  destination?: string;
  /** The names of the links a packet came in by and would leave by. */
  input?: string;
  output?: string;
  /** Packets that a firewall has marked so. */
  mark?: number;
  /** The bits of the mark that count; default: all. */
  markMask?: number;
  /** The rule is about the packets that do not fit the rest. */
  negate?: boolean;
  /** Default: lookup. */
  action?: RuleAction;
  /** The table looked up; 254 is the main one. */
  table?: number;
}

export interface RoutingRule extends Omit<NewRoutingRule, 'action'> {
  priority: number;
  negate: boolean;
  /** Undefined for an action this library has no name for. */
  action: RuleAction | undefined;
  table: number;
}

/** Adds a rule; EEXIST where the same is there. */
export function addRoutingRule(rule: NewRoutingRule): NetlinkRequest {
  return request(RTM_NEWRULE, 'add', rule, NLM_F_CREATE | NLM_F_EXCL);
}

/** Removes the first rule that has all of these properties; ENOENT where there is none. */
export function deleteRoutingRule(rule: NewRoutingRule): NetlinkRequest {
  return request(RTM_DELRULE, 'delete', rule, 0);
}

/** Asks for all rules of both families (a dump). */
export function getRoutingRules(): NetlinkRequest {
  return { type: RTM_GETRULE, flags: 0, body: new Uint8Array(RULE_BYTES), step: 'list rules' };
}

/**
 * Reads the body of an RTM_NEWRULE; undefined for a rule of another family (multicast routing).
 * @throws {StrataError} EBADMSG for one that is cut off
 */
export function parseRoutingRule(body: Uint8Array): RoutingRule | undefined {
  if (body.length < RULE_BYTES) throw malformed(`a rule of ${body.length} bytes`);
  const family = ({ [AF_INET]: 'ip', [AF_INET6]: 'ip6' } as const)[body[0]!];
  if (family === undefined) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = Attributes.parse(body.subarray(RULE_BYTES));
  const network = (type: number, prefixLength: number): string | undefined => {
    const bytes = attributes.bytes(type);
    if (bytes === undefined) return undefined;
    if (bytes.length !== (family === 'ip' ? 4 : 16)) throw malformed("a rule's address");
    return `${formatIpAddress(bytes)}/${prefixLength}`;
  };
  const found = {
    source: network(FRA_SRC, body[2]!),
    destination: network(FRA_DST, body[1]!),
    input: attributes.string(FRA_IIFNAME),
    output: attributes.string(FRA_OIFNAME),
    mark: attributes.u32(FRA_FWMARK),
    markMask: attributes.u32(FRA_FWMASK),
  };
  return {
    family,
    priority: attributes.u32(FRA_PRIORITY) ?? 0,
    ...(Object.fromEntries(
      Object.entries(found).filter(([, value]) => value !== undefined),
    ) as Partial<NewRoutingRule>),
    negate: (view.getUint32(8, true) & FIB_RULE_INVERT) !== 0,
    action: (Object.keys(RULE_ACTIONS) as RuleAction[]).find(
      (name) => RULE_ACTIONS[name] === body[7],
    ),
    table: attributes.u32(FRA_TABLE) ?? body[4]!,
  };
}

function request(type: number, verb: string, rule: NewRoutingRule, flags: number): NetlinkRequest {
  const { family, priority, input, output, mark, markMask, action = 'lookup', table } = rule;
  if (action === 'lookup' && table === undefined && type === RTM_NEWRULE) {
    throw new StrataError('EINVAL', 'a rule that looks up needs a table');
  }
  const header = new Uint8Array(RULE_BYTES);
  const source = network(rule.source, family);
  const destination = network(rule.destination, family);
  header[0] = family === 'ip' ? AF_INET : AF_INET6;
  header[1] = destination?.prefixLength ?? 0;
  header[2] = source?.prefixLength ?? 0;
  header[4] = table !== undefined && table < 256 ? table : 0;
  header[7] = type === RTM_DELRULE && rule.action === undefined ? 0 : RULE_ACTIONS[action];
  header[8] = rule.negate ? FIB_RULE_INVERT : 0;
  const writer = new BodyWriter().raw(header);
  if (destination) writer.bytes(FRA_DST, destination.bytes);
  if (source) writer.bytes(FRA_SRC, source.bytes);
  if (input !== undefined) writer.string(FRA_IIFNAME, checkLinkName(input));
  if (output !== undefined) writer.string(FRA_OIFNAME, checkLinkName(output));
  if (priority !== undefined) writer.u32(FRA_PRIORITY, priority);
  if (mark !== undefined) writer.u32(FRA_FWMARK, mark);
  if (markMask !== undefined) writer.u32(FRA_FWMASK, markMask);
  if (table !== undefined) writer.u32(FRA_TABLE, table);
  const to = table === undefined ? action : `table ${table}`;
  return { type, flags, body: writer.finish(), step: `${verb} rule to ${to}` };
}

function network(
  text: string | undefined,
  family: NewRoutingRule['family'],
): { bytes: Uint8Array; prefixLength: number } | undefined {
  if (text === undefined) return undefined;
  const { address, prefixLength } = parseInterfaceAddress(text);
  const bytes = parseIpAddress(address);
  if (bytes.length === (family === 'ip' ? 4 : 16)) return { bytes, prefixLength };
  throw new StrataError('EINVAL', `${text} is not of family ${family}`);
}
