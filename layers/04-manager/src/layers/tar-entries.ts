/**
 * Reads the entries of a tar stream with tar-stream, and the pax records as bytes.
 *
 * tar-stream 3.2.2 decodes pax values as UTF-8, which destroys binary attributes
 * (`security.capability`). So its step that decodes a header is wrapped: it sees the raw records
 * first. A test fails if a later version of tar-stream no longer calls that step.
 */
import { type Extract, extract, type Header } from 'tar-stream';

export interface TarEntry {
  readonly header: Header;
  /** Pax records by key, empty where the entry has none. */
  readonly records: ReadonlyMap<string, Uint8Array>;
  /** The file's bytes; must be read to the end before the next entry comes. */
  readonly data: Extract extends AsyncIterable<infer Source> ? Source : never;
}

/** The inside of tar-stream's `Extract` that is wrapped. */
interface Decoder {
  _header: { type: string };
  _decodeLongHeader(bytes: Buffer): void;
}

/** A tar reader: a Writable to feed, whose `entries()` come as the bytes do. */
export class TarReader {
  readonly input: Extract = extract();
  #records = new Map<string, Uint8Array>();
  #globalRecords = new Map<string, Uint8Array>();

  constructor() {
    const decoder = this.input as unknown as Decoder;
    const decode = decoder._decodeLongHeader;
    decoder._decodeLongHeader = (bytes) => {
      const { type } = decoder._header;
      if (type === 'pax-header') this.#records = paxRecords(bytes);
      if (type === 'pax-global-header') this.#globalRecords = paxRecords(bytes);
      decode.call(decoder, bytes);
    };
  }

  /** The entries in their order. Ends with the stream; throws what is wrong with it. */
  async *entries(): AsyncGenerator<TarEntry> {
    for await (const data of this.input) {
      const own = this.#records;
      this.#records = new Map();
      const records =
        this.#globalRecords.size === 0 ? own : new Map([...this.#globalRecords, ...own]);
      yield { header: data.header, records, data };
    }
  }
}

const SPACE = 0x20;
const EQUALS = 0x3d;

/** Reads `LENGTH KEY=VALUE\n` records. @see pax(1), "pax Extended Header" */
export function paxRecords(bytes: Uint8Array): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  let rest = bytes;
  while (rest.length > 0) {
    const space = rest.indexOf(SPACE);
    const length = Number(Buffer.from(rest.subarray(0, Math.max(space, 0))).toString());
    const equals = rest.indexOf(EQUALS, space + 1);
    const whole = Number.isInteger(length) && length > space && length <= rest.length;
    if (space <= 0 || equals < 0 || !whole || equals >= length) break;
    const key = Buffer.from(rest.subarray(space + 1, equals)).toString();
    records.set(key, Uint8Array.from(rest.subarray(equals + 1, length - 1)));
    rest = rest.subarray(length);
  }
  return records;
}
