/** Ethernet hardware addresses: six bytes, written `aa:bb:cc:dd:ee:ff`. */
import { StrataError } from '../errors/strata-error.ts';

/**
 * The bytes of a hardware address.
 * @throws {StrataError} INVALID_ADDRESS for another form, and for multicast addresses
 */
export function parseMacAddress(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new StrataError('INVALID_ADDRESS', `not a hardware address: ${JSON.stringify(text)}`);
  }
  const bytes = Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
  if ((bytes[0]! & 1) !== 0) {
    throw new StrataError('INVALID_ADDRESS', `a multicast hardware address: ${text}`);
  }
  return bytes;
}

/** A hardware address as text. */
export function formatMacAddress(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
