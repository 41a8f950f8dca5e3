/**
 * A netlink socket: requests go in, the kernel's answers come out, all of it synchronous.
 *
 * The kernel executes a request within sendto(2), so its answer lies in the receive queue when
 * sendto returns: nothing here ever waits, and an empty queue means that an answer was lost.
 *
 * A socket belongs to the network namespace in which it was created, for good. Whoever holds its
 * descriptor configures that namespace from anywhere: so one short visit opens the socket
 * (`NetworkNamespace.run`, or a stub's `Syscalls`), and all the work is done from outside.
 * Descriptors inside requests (IFLA_NET_NS_FD) are those of the process that executes the send.
 *
 * Callers: RouteNetlink, Nftables.
 */
import { EAGAIN } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { AF_NETLINK, MSG_DONTWAIT, MSG_TRUNC, SOCK_RAW } from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import { sendInBackground } from './background-send.ts';
import {
  encodeMessages,
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_OVERRUN,
  parseMessages,
} from './message.ts';
import {
  type Acknowledgement,
  NetlinkError,
  parseAcknowledgement,
  refusal,
} from './netlink-error.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

const SOCKADDR_NL_BYTES = 12;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
/**
 * The kernel sizes the parts of a dump by the reader's buffer, but uses at least a page's worth; a
 * single message (a link with all it has) is below 4 kB without the SR-IOV functions nobody asks for.
 */
const RECEIVE_BYTES = 16 << 10;
/** A dump disturbed by changes is repeated this often before its last result is taken. */
const DUMP_ATTEMPTS = 5;
/** One for all sockets: what is received is read or copied before anything else can happen. */
const receiveBuffer = new Out(new Uint8Array(RECEIVE_BYTES));

export class NetlinkSocket implements Disposable {
  readonly #sys: Syscalls;
  readonly #fd: number;
  #sequence = 0;
  #closed = false;

  /**
   * Opens a socket in the network namespace of whoever executes `sys`.
   * @param protocol NETLINK_ROUTE or NETLINK_NETFILTER
   * @throws {SyscallError} EPROTONOSUPPORT where the kernel lacks the protocol
   */
  constructor(sys: Syscalls, protocol: number) {
    this.#sys = sys;
    this.#fd = sys.socket(AF_NETLINK, SOCK_RAW, protocol);
    try {
      sys.setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
      sys.setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
      if (protocol === NETLINK_ROUTE) {
        sys.setsockopt(this.#fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
      }
    } catch (error) {
      sys.close(this.#fd);
      throw error;
    }
  }

  /**
   * Sends requests in one go; throws for the first that failed. The others have been executed all
   * the same: what must not half-happen is undone by the caller.
   *
   * Only the last request asks for an acknowledgement, since the kernel reports every failure
   * unasked: N requests cost one send and one receive.
   * @throws {NetlinkError} with the kernel's explanation and the request's step
   */
  execute(...requests: readonly NetlinkRequest[]): void {
    if (requests.length === 0) return;
    const first = this.#send(requests, acknowledgeLast(requests));
    this.#awaitOutcome(requests, first);
  }

  /**
   * As `execute`, for what takes the kernel long: another thread waits for it. The socket must not be
   * used for anything else meanwhile. A stub's socket executes at once, there being no such thread.
   */
  async executeInBackground(...requests: readonly NetlinkRequest[]): Promise<void> {
    if (this.#sys.executor.kind !== 'local') return this.execute(...requests);
    if (requests.length === 0) return;
    const { first, bytes } = this.#encode(requests, acknowledgeLast(requests));
    await sendInBackground(this.#fd, bytes);
    this.#awaitOutcome(requests, first);
  }

  /**
   * Sends messages whose outcome is judged by the caller (nftables batches); returns the errors by
   * the index of their message.
   */
  exchange(requests: readonly NetlinkRequest[], acknowledge: number): Map<number, Acknowledgement> {
    const first = this.#send(requests, (index) => (index === acknowledge ? NLM_F_ACK : 0));
    const outcomes = new Map<number, Acknowledgement>();
    for (let batch = this.#receive(); batch.length > 0; batch = this.#receiveMore()) {
      for (const message of batch) {
        if (message.type !== NLMSG_ERROR || message.sequence < first) continue;
        outcomes.set(message.sequence - first, parseAcknowledgement(message));
      }
    }
    return outcomes;
  }

  /** The one answer to a request, or undefined where the kernel says that there is none. */
  get(request: NetlinkRequest, absent: ReadonlySet<number>): NetlinkMessage | undefined {
    const sequence = this.#send([request], () => 0);
    for (;;) {
      for (const message of this.#receive()) {
        if (message.sequence !== sequence) continue;
        if (message.type !== NLMSG_ERROR) return { ...message, body: message.body.slice() };
        const outcome = parseAcknowledgement(message);
        if (absent.has(outcome.errno)) return undefined;
        throw refusal(request, outcome);
      }
    }
  }

  /** All answers to a dump request. A dump that a change disturbed is taken again. */
  dump(request: NetlinkRequest): NetlinkMessage[] {
    for (let attempt = 1; ; attempt++) {
      const { messages, disturbed } = this.#dumpOnce(request);
      if (!disturbed || attempt === DUMP_ATTEMPTS) return messages;
    }
  }

  /**
   * Joins multicast groups: from here on the kernel sends what changes, unasked. A socket that
   * listens asks nothing: use another one for questions.
   * @param groups RTNLGRP_* numbers
   */
  subscribe(groups: readonly number[]): void {
    // Only a bound socket has an address of its own; the kernel's, 0, hears no multicast.
    const address = new Uint8Array(SOCKADDR_NL_BYTES);
    address[0] = AF_NETLINK;
    this.#sys.bind(this.#fd, address);
    for (const group of groups) {
      this.#sys.setsockopt(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
    }
  }

  /**
   * The notifications that have come: none where there are none yet, undefined where the kernel
   * dropped some because the queue was full (ENOBUFS). The bodies are copies.
   */
  notifications(): NetlinkMessage[] | undefined {
    try {
      return this.#receiveMore().map((message) => ({ ...message, body: message.body.slice() }));
    } catch (error) {
      if (error instanceof StrataError && error.code === 'ENOBUFS') return undefined;
      throw error;
    }
  }

  /** To wait for notifications on the event loop; only of a socket that this process opened. */
  get fd(): number {
    return this.#fd;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sys.close(this.#fd);
  }

  #dumpOnce(request: NetlinkRequest): { messages: NetlinkMessage[]; disturbed: boolean } {
    const sequence = this.#send([request], () => NLM_F_DUMP);
    const messages: NetlinkMessage[] = [];
    let disturbed = false;
    for (;;) {
      for (const message of this.#receive()) {
        if (message.sequence !== sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) disturbed = true;
        if (message.type === NLMSG_DONE) {
          const errno = dumpErrno(message.body);
          if (errno !== 0) throw new NetlinkError(request.step, errno);
          return { messages, disturbed };
        }
        if (message.type === NLMSG_ERROR) throw refusal(request, parseAcknowledgement(message));
        messages.push({ ...message, body: message.body.slice() });
      }
    }
  }

  /** Reads until the last request is acknowledged; throws for the first that failed. */
  #awaitOutcome(requests: readonly NetlinkRequest[], first: number): void {
    const last = first + requests.length - 1;
    let failure: NetlinkError | undefined;
    for (let finished = false; !finished; ) {
      for (const message of this.#receive()) {
        if (message.type !== NLMSG_ERROR || message.sequence < first) continue;
        const outcome = parseAcknowledgement(message);
        if (outcome.errno !== 0) failure ??= refusal(requests[message.sequence - first], outcome);
        if (message.sequence === last) finished = true;
      }
    }
    if (failure) throw failure;
  }

  /** Returns the sequence number of the first request. */
  #send(requests: readonly NetlinkRequest[], extraFlags: (index: number) => number): number {
    const { first, bytes } = this.#encode(requests, extraFlags);
    this.#sys.send(this.#fd, bytes);
    return first;
  }

  #encode(
    requests: readonly NetlinkRequest[],
    extraFlags: (index: number) => number,
  ): { first: number; bytes: Uint8Array } {
    const first = this.#sequence + 1;
    this.#sequence += requests.length;
    const messages = requests.map(({ type, flags, body }, index) => ({
      type,
      flags: flags | NLM_F_REQUEST | extraFlags(index),
      sequence: first + index,
      body,
    }));
    return { first, bytes: encodeMessages(messages) };
  }

  /** The next answers; an empty queue is an error. The bodies are valid until the next receive. */
  #receive(): NetlinkMessage[] {
    const messages = this.#receiveMore();
    if (messages.length === 0) {
      throw new StrataError('EAGAIN', 'the kernel gave no answer to a netlink request', {
        syscall: 'recvfrom',
        hint: 'the socket buffer may have overflowed, or the descriptor is shared with a reader',
      });
    }
    return messages;
  }

  /** The next answers, or none where the queue is empty. */
  #receiveMore(): NetlinkMessage[] {
    const { bytes } = receiveBuffer;
    const args = [this.#fd, receiveBuffer, bytes.length, MSG_DONTWAIT | MSG_TRUNC, null, null];
    const length = this.#sys.attempt('recvfrom', ...args);
    if (length === -EAGAIN) return [];
    if (length < 0) throw this.#sys.failure('recvfrom', -length, args);
    if (length > bytes.length) {
      throw new StrataError('EMSGSIZE', `a netlink message of ${length} bytes does not fit`);
    }
    const messages = parseMessages(bytes.subarray(0, length));
    if (messages.some(({ type }) => type === NLMSG_OVERRUN)) {
      throw new StrataError('ENOBUFS', 'the kernel lost answers of a netlink socket');
    }
    return messages;
  }
}

/** A dump that fails after its first part says so in NLMSG_DONE: 0, or the errno negated. */
function dumpErrno(body: Uint8Array): number {
  if (body.length < 4) return 0;
  return Math.max(
    0,
    -new DataView(body.buffer, body.byteOffset, body.byteLength).getInt32(0, true),
  );
}

function acknowledgeLast(requests: readonly NetlinkRequest[]): (index: number) => number {
  return (index) => (index === requests.length - 1 ? NLM_F_ACK : 0);
}
