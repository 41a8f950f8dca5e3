/**
 * IP addresses as text and as the bytes the kernel takes: 4 for IPv4, 16 for IPv6, in network order.
 *
 * Parsing is strict: no leading zeros (an octal trap), no short forms such as 10.1, no zone.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { StrataError } from '../errors/strata-error.ts';
import { AF_INET, AF_INET6 } from '../syscalls/constants.ts';

/** An address with the length of its network's prefix: 10.88.0.5/16. */
export interface InterfaceAddress {
  address: string;
  prefixLength: number;
}

/**
 * The bytes of an address.
 * @throws {StrataError} INVALID_ADDRESS for text that is no IP address
 */
export function parseIpAddress(text: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (isIPv6(text) && !text.includes('%')) return parseIpv6(text);
  throw new StrataError('INVALID_ADDRESS', `not an IP address: ${JSON.stringify(text)}`);
}

/** An address as text; IPv6 in the canonical form of RFC 5952. */
export function formatIpAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length === 16) return formatIpv6(bytes);
  throw new StrataError('INVALID_ADDRESS', `an IP address of ${bytes.length} bytes`);
}

/**
 * Reads `10.88.0.5/16`.
 * @throws {StrataError} INVALID_ADDRESS for another form or a prefix longer than the address
 */
export function parseInterfaceAddress(text: string): InterfaceAddress {
  const [address, prefix, ...rest] = text.split('/');
  if (
    address === undefined ||
    prefix === undefined ||
    rest.length > 0 ||
    !/^\d{1,3}$/.test(prefix)
  ) {
    throw new StrataError('INVALID_ADDRESS', `not ADDRESS/PREFIX: ${JSON.stringify(text)}`);
  }
  const bits = parseIpAddress(address).length * 8;
  const prefixLength = Number(prefix);
  if (prefixLength > bits) {
    throw new StrataError('INVALID_ADDRESS', `prefix longer than ${bits} bits: ${text}`);
  }
  return { address, prefixLength };
}

/** AF_INET or AF_INET6, by the number of bytes. */
export function addressFamily(bytes: Uint8Array): number {
  return bytes.length === 4 ? AF_INET : AF_INET6;
}

function parseIpv6(text: string): Uint8Array {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const plain = dotted ? `${dotted[1]}${ipv4AsGroups(dotted[2]!)}` : text;
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right];
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  groups.forEach((group, index) => {
    view.setUint16(index * 2, Number.parseInt(group, 16), false);
  });
  return bytes;
}

function ipv4AsGroups(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function formatIpv6(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(index * 2, false));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (best.start < 0) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}
