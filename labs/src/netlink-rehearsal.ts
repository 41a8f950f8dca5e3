/**
 * A kernel's part in a netlink conversation, made up: every request succeeds, every table is empty,
 * and every link that is asked for is there, with an index of its own.
 *
 * The rehearsal's executor hears each call before it answers it; what is no netlink is left alone.
 */
import {
  type Arg,
  encodeMessages,
  IFLA_IFNAME,
  type NetlinkMessage,
  NLM_F_DUMP,
  NLMSG_DONE,
  NLMSG_ERROR,
  Out,
  parseMessages,
  RTM_GETLINK,
  RTM_NEWLINK,
  type SyscallName,
} from '@strata/namespaces';

const AF_NETLINK = 16;
/** Of struct nlmsgerr (an errno and the request's header), struct ifinfomsg, and an attribute. */
const ACKNOWLEDGEMENT_BYTES = 20;
const IFINFO_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** The loopback has 1. */
const FIRST_INDEX = 2;

/** Message type → name; each family has four: NEW, DEL, GET, SET. @see rtnetlink(7) */
const FAMILIES: Readonly<Record<number, string>> = {
  16: 'LINK',
  20: 'ADDR',
  24: 'ROUTE',
  28: 'NEIGH',
  32: 'RULE',
};
const VERBS = ['NEW', 'DEL', 'GET', 'SET'];

export class NetlinkRehearsal {
  readonly #sockets = new Set<number>();
  readonly #indexes = new Map<string, number>([['lo', 1]]);
  #nextDescriptor = 100;
  #answers: Uint8Array[] = [];

  /** The made-up result of a call, or undefined where it has nothing to do with netlink. */
  answer(name: SyscallName, args: readonly Arg[]): number | undefined {
    if (name === 'socket') return this.#open(args);
    if (!this.#sockets.has(Number(args[0]))) return undefined;
    if (name === 'sendto' && args[1] instanceof Uint8Array) {
      for (const message of parseMessages(args[1])) this.#hear(message);
      return args[1].length;
    }
    return name === 'recvfrom' && args[1] instanceof Out ? this.#tell(args[1]) : undefined;
  }

  /** A send with what is in it; undefined for any other call. */
  describe(name: SyscallName, args: readonly Arg[]): string | undefined {
    if (name !== 'sendto' || !this.#sockets.has(Number(args[0]))) return undefined;
    if (!(args[1] instanceof Uint8Array)) return undefined;
    const messages = parseMessages(args[1]).map(({ type, body }) => {
      const link = linkName(type, body);
      return typeName(type) + (link === undefined ? '' : ` ${JSON.stringify(link)}`);
    });
    return `sendto(${args[0]}, [${messages.join(', ')}], ${args[1].length}) = ${args[1].length}`;
  }

  #open([domain]: readonly Arg[]): number | undefined {
    if (domain !== AF_NETLINK) return undefined;
    const fd = this.#nextDescriptor++;
    this.#sockets.add(fd);
    return fd;
  }

  #hear({ type, flags, sequence, body }: NetlinkMessage): void {
    const answer = (type: number, body: Uint8Array): void => {
      this.#answers.push(encodeMessages([{ type, flags: 0, sequence, body }]));
    };
    if ((flags & NLM_F_DUMP) === NLM_F_DUMP) answer(NLMSG_DONE, new Uint8Array(4));
    else if (type === RTM_GETLINK) answer(RTM_NEWLINK, this.#link(body));
    else answer(NLMSG_ERROR, new Uint8Array(ACKNOWLEDGEMENT_BYTES));
  }

  #tell(buffer: Out): number {
    const bytes = this.#answers.shift() ?? new Uint8Array(0);
    buffer.bytes.set(bytes);
    return bytes.length;
  }

  #link(request: Uint8Array): Uint8Array {
    const asked = new DataView(request.buffer, request.byteOffset).getInt32(4, true);
    const name = linkName(RTM_GETLINK, request) ?? `link${asked}`;
    const index = asked || (this.#indexes.get(name) ?? FIRST_INDEX + this.#indexes.size - 1);
    this.#indexes.set(name, index);
    const text = new TextEncoder().encode(`${name}\0`);
    const padded = (text.length + 3) & ~3;
    const body = new Uint8Array(IFINFO_BYTES + ATTRIBUTE_HEADER_BYTES + padded);
    const view = new DataView(body.buffer);
    view.setInt32(4, index, true);
    view.setUint16(IFINFO_BYTES, ATTRIBUTE_HEADER_BYTES + text.length, true);
    view.setUint16(IFINFO_BYTES + 2, IFLA_IFNAME, true);
    body.set(text, IFINFO_BYTES + ATTRIBUTE_HEADER_BYTES);
    return body;
  }
}

function typeName(type: number): string {
  const family = FAMILIES[type & ~3];
  return family === undefined ? `type ${type}` : `RTM_${VERBS[type & 3]}${family}`;
}

/** IFLA_IFNAME of a message about a link. */
function linkName(type: number, body: Uint8Array): string | undefined {
  if (FAMILIES[type & ~3] !== 'LINK') return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = IFINFO_BYTES; at + ATTRIBUTE_HEADER_BYTES <= body.length; ) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > body.length) return undefined;
    if (view.getUint16(at + 2, true) === IFLA_IFNAME) {
      const text = body.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length);
      return Buffer.from(text).toString().replace(/\0$/, '');
    }
    at += (length + 3) & ~3;
  }
  return undefined;
}
