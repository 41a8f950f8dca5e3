/**
 * Attributes: netlink's typed, nestable fields.
 *
 *    0        2        4
 *   ┌────────┬────────┬──────────────┬─────────┐
 *   │ length │  type  │    value     │ padding │  next attribute at a multiple of 4
 *   └────────┴────────┴──────────────┴─────────┘
 *   length counts the 4-byte header and the value, not the padding
 *   type: bit 15 = the value is attributes again, bit 14 = the value is in network byte order
 *
 * Integers are in the machine's byte order (little-endian on x86-64 and arm64) unless the
 * attribute's documentation says network byte order.
 *
 * @see https://docs.kernel.org/userspace-api/netlink/intro.html
 */
import { StrataError } from '../errors/strata-error.ts';

export const ATTRIBUTE_HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;
const FIRST_CAPACITY_BYTES = 512;
/** A length field has 16 bits. */
const LARGEST_ATTRIBUTE_BYTES = 0xffff;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Rounds a size up to netlink's alignment of 4 bytes. */
export function aligned(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** Writes a message's body: a fixed header of the family, then attributes. Calls can be chained. */
export class BodyWriter {
  #bytes = new Uint8Array(FIRST_CAPACITY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** What has been written so far; valid until the next write. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Appends raw bytes without a header, as the fixed header of a message. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** An attribute whose value is these bytes. */
  bytes(type: number, value: Uint8Array): this {
    const start = this.#header(type, value.length);
    this.#bytes.set(value, start);
    return this;
  }

  u8(type: number, value: number): this {
    checkInteger(type, value, 8);
    const start = this.#header(type, 1);
    this.#bytes[start] = value;
    return this;
  }

  u16(type: number, value: number): this {
    checkInteger(type, value, 16);
    const start = this.#header(type, 2);
    this.#view.setUint16(start, value, true);
    return this;
  }

  u32(type: number, value: number): this {
    checkInteger(type, value, 32);
    const start = this.#header(type, 4);
    this.#view.setUint32(start, value, true);
    return this;
  }

  /** 16 bits in network byte order (ports, EtherTypes). */
  u16Network(type: number, value: number): this {
    checkInteger(type, value, 16);
    const start = this.#header(type, 2);
    this.#view.setUint16(start, value, false);
    return this;
  }

  /** 32 bits in network byte order (everything in nfnetlink). */
  u32Network(type: number, value: number): this {
    checkInteger(type, value, 32);
    const start = this.#header(type, 4);
    this.#view.setUint32(start, value, false);
    return this;
  }

  /** 64 bits in network byte order (counters and handles in nfnetlink). */
  u64Network(type: number, value: bigint): this {
    const start = this.#header(type, 8);
    this.#view.setBigUint64(start, value, false);
    return this;
  }

  /** A NUL-terminated string. */
  string(type: number, value: string): this {
    if (value.includes('\0')) {
      throw new StrataError('EINVAL', `string with a NUL byte: ${JSON.stringify(value)}`);
    }
    return this.bytes(type, encoder.encode(`${value}\0`));
  }

  /** An attribute that holds what `fill` writes. */
  nest(type: number, fill: (inner: this) => void): this {
    const start = this.#header(type | NLA_F_NESTED, 0) - ATTRIBUTE_HEADER_BYTES;
    fill(this);
    const size = this.#length - start;
    if (size > LARGEST_ATTRIBUTE_BYTES) throw tooLarge(type, size);
    this.#view.setUint16(start, size, true);
    return this;
  }

  /**
   * Writes an attribute's header and makes room; returns the offset of its value. It may replace
   * `#bytes` and `#view`, so it is never called within an expression that has read them.
   */
  #header(type: number, valueBytes: number): number {
    const size = ATTRIBUTE_HEADER_BYTES + valueBytes;
    if (size > LARGEST_ATTRIBUTE_BYTES) throw tooLarge(type, size);
    this.#reserve(aligned(size));
    const start = this.#length;
    this.#view.setUint16(start, size, true);
    this.#view.setUint16(start + 2, type, true);
    this.#length += aligned(size);
    return start + ATTRIBUTE_HEADER_BYTES;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** What does not fit would be cut silently: a port 65616 would become 80. Negative is two's complement. */
function checkInteger(type: number, value: number, bits: number): void {
  if (Number.isInteger(value) && value >= -(2 ** (bits - 1)) && value < 2 ** bits) return;
  throw new StrataError('ERANGE', `netlink attribute ${type}: ${value} does not fit ${bits} bits`);
}

function tooLarge(type: number, size: number): StrataError {
  return new StrataError('EMSGSIZE', `netlink attribute ${type} would have ${size} bytes`);
}

/** The attributes of a received message, by type. Where a type comes twice, the later one counts. */
export class Attributes {
  readonly #values: ReadonlyMap<number, Uint8Array>;

  private constructor(values: ReadonlyMap<number, Uint8Array>) {
    this.#values = values;
  }

  /**
   * Reads a list of attributes. Every length is checked against the bytes that are there.
   * @throws {StrataError} EBADMSG where an attribute is shorter than its header or leaves its parent
   */
  static parse(bytes: Uint8Array): Attributes {
    const values = new Map<number, Uint8Array>();
    for (const { type, value } of attributeList(bytes)) values.set(type, value);
    return new Attributes(values);
  }

  get size(): number {
    return this.#values.size;
  }

  has(type: number): boolean {
    return this.#values.has(type);
  }

  bytes(type: number): Uint8Array | undefined {
    return this.#values.get(type);
  }

  u8(type: number): number | undefined {
    return this.#fixed(type, 1)?.getUint8(0);
  }

  u16(type: number): number | undefined {
    return this.#fixed(type, 2)?.getUint16(0, true);
  }

  u32(type: number): number | undefined {
    return this.#fixed(type, 4)?.getUint32(0, true);
  }

  i32(type: number): number | undefined {
    return this.#fixed(type, 4)?.getInt32(0, true);
  }

  u32Network(type: number): number | undefined {
    return this.#fixed(type, 4)?.getUint32(0, false);
  }

  u64Network(type: number): bigint | undefined {
    return this.#fixed(type, 8)?.getBigUint64(0, false);
  }

  /** A string up to its first NUL. */
  string(type: number): string | undefined {
    const value = this.#values.get(type);
    if (!value) return undefined;
    const end = value.indexOf(0);
    return decoder.decode(end < 0 ? value : value.subarray(0, end));
  }

  nested(type: number): Attributes | undefined {
    const value = this.#values.get(type);
    return value && Attributes.parse(value);
  }

  #fixed(type: number, size: number): DataView | undefined {
    const value = this.#values.get(type);
    if (!value) return undefined;
    if (value.length < size) {
      throw malformed(`attribute ${type} has ${value.length} bytes; ${size} are needed`);
    }
    return new DataView(value.buffer, value.byteOffset, value.byteLength);
  }
}

/** The attributes in their order, for lists in which a type repeats. */
export function* attributeList(
  bytes: Uint8Array,
): Generator<{ type: number; value: Uint8Array }, void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < bytes.length) {
    const left = bytes.length - at;
    if (left < ATTRIBUTE_HEADER_BYTES) {
      throw malformed(`${left} stray bytes after the last attribute`);
    }
    const size = view.getUint16(at, true);
    if (size < ATTRIBUTE_HEADER_BYTES || size > left) {
      throw malformed(`attribute at byte ${at} claims ${size} bytes; ${left} are there`);
    }
    const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
    yield { type, value: bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + size) };
    at += aligned(size);
  }
}

/** The error for bytes that are not what netlink's format allows. */
export function malformed(what: string): StrataError {
  return new StrataError('EBADMSG', `malformed netlink message: ${what}`);
}
