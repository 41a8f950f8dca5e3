/**
 * The addresses a network may give to pods, and the order in which it tries them.
 *
 *   10.88.0.0     10.88.0.1   10.88.0.2 ........................ 10.88.255.254   10.88.255.255
 *   the network   gateway     └──────── range, round robin ─────────────────┘    broadcast
 *
 * Round robin from the last address given: a container that crashes and restarts does not get the
 * address somebody may still have connections to. IPv4 addresses are plain numbers in here.
 */
import {
  formatIpAddress,
  type InterfaceAddress,
  parseIpAddress,
  StrataError,
} from '@strata/namespaces';

export class AddressRange {
  readonly #subnetFirst: number;
  readonly #subnetLast: number;
  readonly #first: number;
  readonly #last: number;
  readonly #excluded: number | undefined;

  private constructor(bounds: {
    subnetFirst: number;
    subnetLast: number;
    first: number;
    last: number;
    excluded?: number;
  }) {
    this.#subnetFirst = bounds.subnetFirst;
    this.#subnetLast = bounds.subnetLast;
    this.#first = bounds.first;
    this.#last = bounds.last;
    this.#excluded = bounds.excluded;
  }

  /**
   * The addresses of a subnet, or a part of them.
   * @throws {StrataError} INVALID_CONFIG where the part is not within the subnet or runs backwards
   */
  static of(
    subnet: InterfaceAddress,
    part: { rangeStart?: string; rangeEnd?: string } = {},
  ): AddressRange {
    const network = toNumber(subnet.address);
    const subnetFirst = network + 1;
    const subnetLast = network + 2 ** (32 - subnet.prefixLength) - 2;
    const first = part.rangeStart === undefined ? subnetFirst : toNumber(part.rangeStart);
    const last = part.rangeEnd === undefined ? subnetLast : toNumber(part.rangeEnd);
    const within = first >= subnetFirst && last <= subnetLast && first <= last;
    if (!within) {
      const range = `${toText(first)} to ${toText(last)}`;
      throw new StrataError(
        'INVALID_CONFIG',
        `network range: ${range} is not within ${subnet.address}/${subnet.prefixLength}`,
        { field: first < subnetFirst || first > last ? 'rangeStart' : 'rangeEnd' },
      );
    }
    return new AddressRange({ subnetFirst, subnetLast, first, last });
  }

  /** The same range, of which one address (the gateway's) is never given. */
  without(address: string): AddressRange {
    return new AddressRange({
      subnetFirst: this.#subnetFirst,
      subnetLast: this.#subnetLast,
      first: this.#first,
      last: this.#last,
      excluded: toNumber(address),
    });
  }

  get firstOfSubnet(): string {
    return toText(this.#subnetFirst);
  }

  /** Whether an address is one a host of the subnet can have. */
  inSubnet(address: string): boolean {
    const number = toNumber(address);
    return number >= this.#subnetFirst && number <= this.#subnetLast;
  }

  /** Whether an address may be given to a pod. */
  includes(address: string): boolean {
    const number = toNumber(address);
    return number >= this.#first && number <= this.#last && number !== this.#excluded;
  }

  /** Every address of the range once, starting after `last` where that is one of them. */
  *after(last: string | undefined): Generator<string, void> {
    const size = this.#last - this.#first + 1;
    const start = last !== undefined && this.includes(last) ? toNumber(last) - this.#first + 1 : 0;
    for (let step = 0; step < size; step++) {
      const candidate = this.#first + ((start + step) % size);
      if (candidate !== this.#excluded) yield toText(candidate);
    }
  }

  toString(): string {
    return `${toText(this.#first)}-${toText(this.#last)}`;
  }
}

function toNumber(text: string): number {
  const bytes = parseIpAddress(text);
  if (bytes.length !== 4) {
    throw new StrataError('INVALID_ADDRESS', `not an IPv4 address: ${JSON.stringify(text)}`);
  }
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, false);
}

function toText(number: number): string {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number, false);
  return formatIpAddress(bytes);
}
