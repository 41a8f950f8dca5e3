/** Sockets, as far as Strata needs them raw: netlink, and descriptors passed over AF_UNIX. */
import { AF_UNIX, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOCK_CLOEXEC, SOL_SOCKET } from './constants.ts';
import { Out, Struct } from './memory.ts';
import { ProcessCalls } from './process-calls.ts';

const SOCKADDR_UN_BYTES = 110;
const MSGHDR_BYTES = 56;
const CMSG_HEADER_BYTES = 16;

export class SocketCalls extends ProcessCalls {
  /** @see socket(2) */
  socket(domain: number, type: number, protocol: number): number {
    return this.call('socket', domain, type | SOCK_CLOEXEC, protocol);
  }

  /** Binds to a socket address given as bytes. @see bind(2) */
  bind(fd: number, address: Uint8Array): void {
    this.call('bind', fd, address, address.length);
  }

  /** Sets an option whose value is an int. @see setsockopt(2) */
  setsockopt(fd: number, level: number, option: number, value: number): void {
    const bytes = new Uint8Array(Int32Array.of(value).buffer);
    this.call('setsockopt', fd, level, option, bytes, bytes.length);
  }

  /** Connects to an AF_UNIX path. @see unix(7) */
  connectUnix(fd: number, path: string): void {
    const address = unixAddress(path);
    this.call('connect', fd, address, address.length);
  }

  /** @see send(2) */
  send(fd: number, bytes: Uint8Array, flags = 0): number {
    return this.call('sendto', fd, bytes, bytes.length, flags, null, 0);
  }

  /** Receives one message; returns its length (its true length with MSG_TRUNC). @see recv(2) */
  receive(fd: number, buffer: Uint8Array, flags = 0): number {
    return this.call('recvfrom', fd, new Out(buffer), buffer.length, flags, null, null);
  }

  /** Sends `text` with descriptors attached. @see unix(7), SCM_RIGHTS */
  sendDescriptors(fd: number, text: string, descriptors: readonly number[]): void {
    const payload = new TextEncoder().encode(text);
    const control = new Uint8Array(CMSG_HEADER_BYTES + ((descriptors.length * 4 + 7) & ~7));
    const view = new DataView(control.buffer);
    view.setUint32(0, CMSG_HEADER_BYTES + descriptors.length * 4, true);
    view.setUint32(8, SOL_SOCKET, true);
    view.setUint32(12, SCM_RIGHTS, true);
    descriptors.forEach((descriptor, index) => {
      view.setInt32(CMSG_HEADER_BYTES + index * 4, descriptor, true);
    });
    this.call('sendmsg', fd, messageHeader(payload, control), 0);
  }

  /** Receives text and the descriptors that came with it, close-on-exec. @see unix(7) */
  receiveDescriptors(
    fd: number,
    maximum = 8,
  ): { text: string; bytes: Uint8Array; descriptors: number[] } {
    const payload = new Out(new Uint8Array(4096));
    const control = new Out(new Uint8Array(CMSG_HEADER_BYTES + maximum * 4));
    const length = this.call('recvmsg', fd, messageHeader(payload, control), MSG_CMSG_CLOEXEC);
    const view = new DataView(control.bytes.buffer);
    const end = view.getUint32(0, true);
    const descriptors: number[] = [];
    if (view.getUint32(12, true) === SCM_RIGHTS) {
      for (let at = CMSG_HEADER_BYTES; at + 4 <= end; at += 4) {
        descriptors.push(view.getInt32(at, true));
      }
    }
    const bytes = payload.bytes.subarray(0, length);
    return { text: new TextDecoder().decode(bytes), bytes, descriptors };
  }
}

/** struct sockaddr_un. Throws where the path has more than 107 bytes. */
export function unixAddress(path: string): Uint8Array {
  const text = new TextEncoder().encode(path);
  if (text.length > SOCKADDR_UN_BYTES - 3) {
    throw new RangeError(`socket path longer than 107 bytes: ${path}`);
  }
  const address = new Uint8Array(SOCKADDR_UN_BYTES);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(text, 2);
  return address;
}

function messageHeader(payload: Uint8Array | Out, control: Uint8Array | Out): Struct {
  const bytesOf = (part: Uint8Array | Out): Uint8Array => (part instanceof Out ? part.bytes : part);
  const iovec = new Uint8Array(16);
  new DataView(iovec.buffer).setUint32(8, bytesOf(payload).length, true);
  const header = new Uint8Array(MSGHDR_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(24, 1, true);
  view.setUint32(40, bytesOf(control).length, true);
  return new Struct(
    header,
    new Map<number, Struct | Uint8Array | Out>([
      [16, new Struct(iovec, new Map([[0, payload]]))],
      [32, control],
    ]),
  );
}
