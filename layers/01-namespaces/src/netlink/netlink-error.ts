/**
 * What the kernel says about a request: NLMSG_ERROR, with its extended acknowledgement.
 *
 *    0        4                    20
 *   ┌────────┬────────────────────┬───────────────────┬──────────────────────────┐
 *   │ -errno │ request's nlmsghdr │ request's body,   │ with NLM_F_ACK_TLVS:     │
 *   │        │                    │ not if CAPPED     │ MSG text, OFFS, ...      │
 *   └────────┴────────────────────┴───────────────────┴──────────────────────────┘
 *
 * The text ("Invalid address", "Nexthop has invalid gateway") is the kernel's own and far more
 * telling than EINVAL; sockets ask for it with NETLINK_EXT_ACK (Linux 4.12).
 */
import { errnoName } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import {
  ATTRIBUTE_HEADER_BYTES,
  Attributes,
  aligned,
  malformed,
  NLA_TYPE_MASK,
} from './attributes.ts';
import {
  MESSAGE_HEADER_BYTES,
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
} from './message.ts';

const ERRNO_BYTES = 4;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;
const NLMSGERR_ATTR_MISS_TYPE = 5;

const HINTS: Record<string, string> = {
  EPERM: 'changing the network needs CAP_NET_ADMIN in the user namespace that owns it',
  EOPNOTSUPP: 'the kernel does not have this link type or option; a module may be missing',
  EXFULL: 'a bridge has at most 1023 ports (BR_MAX_PORTS)',
};

export class NetlinkError extends StrataError {
  declare readonly errno: number;
  /** The kernel's explanation from the extended acknowledgement, where it gave one. */
  readonly explanation: string | undefined;
  /** The number of the attribute that the kernel did not like, where it said so. */
  readonly attribute: number | undefined;

  constructor(step: string, errno: number, explanation?: string, attribute?: number) {
    const name = errnoName(errno);
    const about = attribute === undefined ? '' : ` (attribute ${attribute})`;
    const said = (explanation ? `: ${explanation}` : '') + about;
    super(name, `${step}: ${name}${said}`, { step, errno, syscall: 'netlink', hint: HINTS[name] });
    this.explanation = explanation;
    this.attribute = attribute;
  }
}

export interface Acknowledgement {
  /** 0 where the request succeeded. */
  errno: number;
  explanation: string | undefined;
  /** Where in the request, header included, the attribute begins that was at fault. */
  offset?: number;
}

/**
 * Reads an NLMSG_ERROR.
 * @throws {StrataError} EBADMSG where it is shorter than its parts
 */
export function parseAcknowledgement({ flags, body }: NetlinkMessage): Acknowledgement {
  if (body.length < ERRNO_BYTES + MESSAGE_HEADER_BYTES) {
    throw malformed(`an acknowledgement of ${body.length} bytes`);
  }
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const errno = -view.getInt32(0, true);
  if (errno < 0) throw malformed(`an acknowledgement with the positive errno ${-errno}`);
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, explanation: undefined };
  const requestBytes =
    (flags & NLM_F_CAPPED) !== 0 ? MESSAGE_HEADER_BYTES : view.getUint32(ERRNO_BYTES, true);
  const start = ERRNO_BYTES + aligned(requestBytes);
  if (start > body.length) {
    throw malformed(`an acknowledgement that copies ${requestBytes} bytes of ${body.length}`);
  }
  const attributes = Attributes.parse(body.subarray(start));
  const offset = attributes.u32(NLMSGERR_ATTR_OFFS);
  return { errno, explanation: explain(attributes), ...(offset !== undefined && { offset }) };
}

/** The error of a request that the kernel refused, with the attribute it complained of by number. */
export function refusal(
  request: NetlinkRequest | undefined,
  { errno, explanation, offset }: Acknowledgement,
): NetlinkError {
  const step = request?.step ?? 'netlink request';
  const at = offset === undefined ? -1 : offset - MESSAGE_HEADER_BYTES;
  const body = request?.body;
  if (!body || at < 0 || at + ATTRIBUTE_HEADER_BYTES > body.length) {
    return new NetlinkError(step, errno, explanation);
  }
  const type = (body[at + 2]! | (body[at + 3]! << 8)) & NLA_TYPE_MASK;
  return new NetlinkError(step, errno, explanation, type);
}

function explain(attributes: Attributes): string | undefined {
  const text = attributes.string(NLMSGERR_ATTR_MSG);
  const missing = attributes.u32(NLMSGERR_ATTR_MISS_TYPE);
  if (missing === undefined) return text;
  return `${text ? `${text}; ` : ''}attribute ${missing} is missing`;
}
