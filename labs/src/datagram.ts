/** Whether two hosts can talk: one UDP datagram, from the process of one to that of the other. */
import {
  AF_INET,
  type Arg,
  errnoName,
  IFF_LOWER_UP,
  type Link,
  POLLIN,
  parseIpAddress,
  SOCK_DGRAM,
  type SyscallName,
} from '@strata/namespaces';
import { inNetworkOf } from './network-views.ts';
import type { Performer } from './stage.ts';

const PORT = 7000;
const TEXT = 'hello';
/** Within a machine it takes microseconds; who asked for an address and was not heard asks again after 1 s. */
const PATIENCE_MS = 1500;
const LINK_LIMIT_MS = 5000;
const LOOK_MS = 5;
const SOCKADDR_IN_BYTES = 16;

/**
 * Sends a datagram to an IPv4 address that the receiver is to have.
 * @returns 'arrived', 'lost', or what the kernel refuses: `blue: bind EADDRNOTAVAIL`
 */
export function sendDatagram(from: Performer, to: Performer, address: string): string {
  const place = socketAddress(address);
  if (from.sys.executor.kind !== 'recording') awaitLinks([process.pid, from.pid, to.pid]);
  try {
    using receiver = openSocket(to);
    call(to, 'bind', receiver.fd, place, place.length);
    using sender = openSocket(from);
    call(from, 'connect', sender.fd, place, place.length);
    call(from, 'sendto', sender.fd, new TextEncoder().encode(TEXT), TEXT.length, 0, null, 0);
    const isThere = (to.sys.poll(receiver.fd, POLLIN, PATIENCE_MS) & POLLIN) !== 0;
    return isThere ? 'arrived' : 'lost';
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

class Refused extends Error {}

/**
 * Waits until links with a carrier transmit: they have it at once, but the kernel's linkwatch switches their
 * queues on when it gets to it, within a second.
 */
function awaitLinks(pids: readonly number[]): void {
  const isReady = ({ up, flags, operationalState }: Link): boolean =>
    !up || (flags & IFF_LOWER_UP) === 0 || ['up', 'unknown'].includes(operationalState);
  const deadline = Date.now() + LINK_LIMIT_MS;
  while (!pids.every((pid) => inNetworkOf(pid, (netlink) => netlink.links().every(isReady)))) {
    if (Date.now() > deadline) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
  }
}

/** As `sys.call`, but what is refused is said in the name of the host. */
function call({ title, sys }: Performer, name: SyscallName, ...args: readonly Arg[]): number {
  const result = sys.attempt(name, ...args);
  if (result < 0) throw new Refused(`${title}: ${name} ${errnoName(-result)}`);
  return result;
}

function openSocket({ sys }: Performer): Disposable & { fd: number } {
  const fd = sys.socket(AF_INET, SOCK_DGRAM, 0);
  return { fd, [Symbol.dispose]: () => sys.close(fd) };
}

/** struct sockaddr_in */
function socketAddress(address: string): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_IN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, PORT);
  bytes.set(parseIpAddress(address), 4);
  return bytes;
}
