/**
 * A C struct as a table: its fields in their order, and the size that the kernel's header gives it.
 *
 *   const WINSIZE = structLayout(8, { rows: 'u16', columns: 'u16', xPixels: 'u16', yPixels: 'u16' });
 *   WINSIZE.pack({ rows: 24, columns: 80 })    // 8 bytes; what is not named is zero
 *   WINSIZE.unpack(bytes).rows
 *
 * Each field lies at the next multiple of its own size, as in C on x86-64 and arm64. The size is
 * asserted when the module is loaded, so a field forgotten or of the wrong width is found at once.
 * Both machines are little-endian.
 */
import { StrataError } from '../errors/strata-error.ts';

const WIDTHS = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 } as const;
type Kind = keyof typeof WIDTHS;
/** A number, or that many bytes as they are. */
type Field = Kind | number;

type ValueOf<F extends Field> = F extends 'u64' | 'i64'
  ? bigint
  : F extends number
    ? Uint8Array
    : number;
type Values<Fields extends Readonly<Record<string, Field>>> = {
  -readonly [Name in keyof Fields]: ValueOf<Fields[Name]>;
};

export interface StructLayout<Fields extends Readonly<Record<string, Field>>> {
  /** In bytes. */
  readonly size: number;
  /** The bytes of a struct; members that are not named are zero. */
  pack(values: Partial<Values<Fields>>): Uint8Array;
  /** @throws {StrataError} SHORT_STRUCT where there are fewer bytes than the struct has */
  unpack(bytes: Uint8Array): Values<Fields>;
}

interface Place {
  name: string;
  field: Field;
  offset: number;
}

/** @param size what the kernel's header comes to, `sizeof` */
export function structLayout<const Fields extends Readonly<Record<string, Field>>>(
  size: number,
  fields: Fields,
): StructLayout<Fields> {
  const places = placesOf(fields);
  const last = places.at(-1)!;
  const end = last.offset + widthOf(last.field);
  const alignment = Math.max(...places.map(({ field }) => alignmentOf(field)));
  // The kernel declares some structs packed: those have no padding at their end.
  if (size !== end && size !== Math.ceil(end / alignment) * alignment) {
    throw new RangeError(`a struct of ${size} bytes whose fields take ${end}`);
  }
  return {
    size,
    pack(values) {
      const bytes = new Uint8Array(size);
      for (const place of places) {
        const value = values[place.name as keyof Fields];
        if (value !== undefined) put(bytes, place, value);
      }
      return bytes;
    },
    unpack(bytes) {
      if (bytes.length < size) {
        throw new StrataError('SHORT_STRUCT', `${bytes.length} bytes of a struct of ${size}`);
      }
      const view = viewOf(bytes);
      const values: Record<string, unknown> = {};
      for (const place of places) values[place.name] = get(view, place);
      return values as Values<Fields>;
    },
  };
}

const widthOf = (field: Field): number => (typeof field === 'number' ? field : WIDTHS[field]);
const alignmentOf = (field: Field): number => (typeof field === 'number' ? 1 : WIDTHS[field]);

function placesOf(fields: Readonly<Record<string, Field>>): Place[] {
  let end = 0;
  return Object.entries(fields).map(([name, field]) => {
    const offset = Math.ceil(end / alignmentOf(field)) * alignmentOf(field);
    end = offset + widthOf(field);
    return { name, field, offset };
  });
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function put(bytes: Uint8Array, { field, offset }: Place, value: unknown): void {
  if (typeof field === 'number') {
    bytes.set((value as Uint8Array).subarray(0, field), offset);
  } else if (typeof value === 'bigint') {
    viewOf(bytes).setBigUint64(offset, BigInt.asUintN(64, value), true);
  } else {
    const view = viewOf(bytes);
    if (field === 'u8') view.setUint8(offset, value as number);
    else if (field === 'u16') view.setUint16(offset, value as number, true);
    else view.setUint32(offset, (value as number) >>> 0, true);
  }
}

function get(view: DataView, { field, offset }: Place): unknown {
  switch (field) {
    case 'u8':
      return view.getUint8(offset);
    case 'u16':
      return view.getUint16(offset, true);
    case 'u32':
      return view.getUint32(offset, true);
    case 'i32':
      return view.getInt32(offset, true);
    case 'u64':
      return view.getBigUint64(offset, true);
    case 'i64':
      return view.getBigInt64(offset, true);
    default:
      return new Uint8Array(view.buffer, view.byteOffset + offset, field).slice();
  }
}
