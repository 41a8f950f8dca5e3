/**
 * Netlink's framing: how requests travel to the kernel and answers come back.
 *
 *    0          4      6      8          12         16
 *   ┌──────────┬──────┬──────┬──────────┬──────────┬──────────────┬────────────┐
 *   │  length  │ type │flags │ sequence │ port id  │ fixed header │ attributes │
 *   └──────────┴──────┴──────┴──────────┴──────────┴──────────────┴────────────┘
 *   └──────────────── nlmsghdr ────────────────────┘└───────── body ───────────┘
 *   length counts all of it; the next message begins at the next multiple of 4
 *
 *   request ──▶ kernel ──▶ NLMSG_ERROR  errno 0 is the acknowledgement
 *                     ├──▶ an answer of the family's own type
 *                     └──▶ many of them with NLM_F_MULTI, then NLMSG_DONE
 *
 * Many messages fit in one sendto(2); the kernel executes them in order, before sendto returns, and
 * goes on after one that fails. Whoever reads these bytes must not trust them: a length may lie.
 *
 * @see netlink(7)
 */
import { aligned, malformed } from './attributes.ts';

export const MESSAGE_HEADER_BYTES = 16;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_ECHO = 0x08;
/** The dump was taken while the table changed: it may be incomplete. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** In an acknowledgement: the copy of the request was left out, all but its header. */
export const NLM_F_CAPPED = 0x100;
/** In an acknowledgement: attributes with the kernel's explanation follow. */
export const NLM_F_ACK_TLVS = 0x200;

/** What shall be done, before it has a sequence number. */
export interface NetlinkRequest {
  type: number;
  /** NLM_F_* besides NLM_F_REQUEST and NLM_F_ACK, which the socket sets. */
  flags: number;
  body: Uint8Array;
  /** In a person's words, for the error: 'create link eth0'. */
  step: string;
}

export interface NetlinkMessage {
  type: number;
  flags: number;
  sequence: number;
  portId: number;
  body: Uint8Array;
}

export type OutgoingMessage = Omit<NetlinkMessage, 'portId'>;

/** The bytes of some messages, each aligned, for one send. */
export function encodeMessages(messages: readonly OutgoingMessage[]): Uint8Array {
  const size = messages.reduce(
    (sum, { body }) => sum + aligned(MESSAGE_HEADER_BYTES + body.length),
    0,
  );
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { type, flags, sequence, body } of messages) {
    view.setUint32(at, MESSAGE_HEADER_BYTES + body.length, true);
    view.setUint16(at + 4, type, true);
    view.setUint16(at + 6, flags, true);
    view.setUint32(at + 8, sequence, true);
    bytes.set(body, at + MESSAGE_HEADER_BYTES);
    at += aligned(MESSAGE_HEADER_BYTES + body.length);
  }
  return bytes;
}

/**
 * Splits what one receive brought into messages.
 * @throws {StrataError} EBADMSG where a message is cut off or claims more than is there
 */
export function parseMessages(bytes: Uint8Array): NetlinkMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: NetlinkMessage[] = [];
  let at = 0;
  while (at < bytes.length) {
    const left = bytes.length - at;
    if (left < MESSAGE_HEADER_BYTES) throw malformed(`${left} bytes at ${at} are no header`);
    const length = view.getUint32(at, true);
    if (length < MESSAGE_HEADER_BYTES || length > left) {
      throw malformed(`message at byte ${at} claims ${length} bytes; ${left} are there`);
    }
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      portId: view.getUint32(at + 12, true),
      body: bytes.subarray(at + MESSAGE_HEADER_BYTES, at + length),
    });
    at += aligned(length);
  }
  return messages;
}
