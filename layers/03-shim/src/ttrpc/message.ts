/**
 * Protobuf messages as tables of fields.
 *
 *   const KillRequest = message({ id: [1, 'string'], signal: [3, 'uint32'], all: [4, 'bool'] });
 *   KillRequest.decode(KillRequest.encode({ id: 'web', signal: 15 })).all        // false
 *
 * The wire format is @bufbuild/protobuf's reader and writer; what is ours is the table. Generated
 * code over its reflection costs 35 ms at start and 9 MB of memory in a process that shall be small
 * and quick to start; this costs 5 ms and 0.2 MB (measured, bundled). That both agree is a test:
 * the .proto files are in proto/, their generated code in test/generated.
 *
 * @see https://protobuf.dev/programming-guides/encoding/
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { StrataError } from '@strata/namespaces';

interface ScalarTypes {
  string: string;
  bytes: Uint8Array;
  bool: boolean;
  int32: number;
  uint32: number;
  int64: bigint;
  uint64: bigint;
}
type Scalar = keyof ScalarTypes;
// biome-ignore lint/suspicious/noExplicitAny: a codec of whatever shape, told apart by inference
type Kind = Scalar | Message<any>;
/** Field number and kind; a third element makes it a list, or a map with text as its keys. */
type Field = readonly [number, Kind] | readonly [number, Kind, 'repeated' | 'map'];
export type Fields = Record<string, Field>;

type One<K> = K extends Scalar ? ScalarTypes[K] : K extends Message<infer V> ? V : never;
type ValueOf<F> = F extends readonly [number, infer K, 'repeated']
  ? One<K>[]
  : F extends readonly [number, infer K, 'map']
    ? Record<string, One<K>>
    : F extends readonly [number, infer K]
      ? K extends Scalar
        ? ScalarTypes[K]
        : One<K> | undefined
      : never;
export type ShapeOf<F extends Fields> = { [Name in keyof F]: ValueOf<F[Name]> };

export interface Message<V> {
  /** Fields that are left out have their zero value, which is not sent. */
  encode(value: Partial<V>): Uint8Array;
  /** @throws {StrataError} INVALID_MESSAGE for bytes that are not of this message */
  decode(bytes: Uint8Array): V;
}
export type ValueOfMessage<M> = M extends Message<infer V> ? V : never;

const ZERO: { [S in Scalar]: () => ScalarTypes[S] } = {
  string: () => '',
  bytes: () => new Uint8Array(),
  bool: () => false,
  int32: () => 0,
  uint32: () => 0,
  int64: () => 0n,
  uint64: () => 0n,
};

const WIRE: Record<Scalar, WireType> = {
  string: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
  bool: WireType.Varint,
  int32: WireType.Varint,
  uint32: WireType.Varint,
  int64: WireType.Varint,
  uint64: WireType.Varint,
};

export function message<const F extends Fields>(fields: F): Message<ShapeOf<F>> {
  const byNumber = new Map(Object.entries(fields).map(([name, field]) => [field[0], name]));
  return {
    encode(value) {
      const writer = new BinaryWriter();
      for (const [name, field] of Object.entries(fields)) {
        const given = (value as Record<string, unknown>)[name];
        if (given !== undefined) writeGiven(writer, field, given);
      }
      return writer.finish();
    },
    decode(bytes) {
      const value: Record<string, unknown> = {};
      for (const [name, field] of Object.entries(fields)) value[name] = zeroOf(field);
      try {
        const reader = new BinaryReader(bytes);
        while (reader.pos < reader.len) {
          const [number, wire] = reader.tag();
          const name = byNumber.get(number);
          if (name === undefined) reader.skip(wire, number);
          else readField(reader, wire, { value, name, field: fields[name]! });
        }
      } catch (cause) {
        if (cause instanceof StrataError) throw cause;
        throw new StrataError('INVALID_MESSAGE', `malformed protobuf message: ${cause}`, { cause });
      }
      return value as ShapeOf<F>;
    },
  };
}

function zeroOf([, kind, many]: Field): unknown {
  if (many === 'repeated') return [];
  // Without a prototype, so that a key is a key whatever its name.
  if (many === 'map') return Object.create(null);
  return typeof kind === 'string' ? ZERO[kind]() : undefined;
}

function isZero(value: unknown): boolean {
  if (value instanceof Uint8Array) return value.length === 0;
  return value === '' || value === 0 || value === 0n || value === false;
}

function writeGiven(writer: BinaryWriter, [number, kind, many]: Field, given: unknown): void {
  if (many === 'map') {
    for (const entry of Object.entries(given as object)) writeEntry(writer, number, kind, entry);
  } else if (many && typeof kind === 'string' && WIRE[kind] === WireType.Varint) {
    if ((given as unknown[]).length > 0) writePacked(writer, number, kind, given as unknown[]);
  } else if (many) {
    for (const one of given as unknown[]) writeField(writer, number, kind, one);
  } else if (!isZero(given)) {
    writeField(writer, number, kind, given);
  }
}

function writeField(writer: BinaryWriter, number: number, kind: Kind, value: unknown): void {
  if (typeof kind !== 'string') {
    writer.tag(number, WireType.LengthDelimited).bytes(kind.encode(value as object));
    return;
  }
  writer.tag(number, WIRE[kind]);
  writeScalar(writer, kind, value);
}

function writeScalar(writer: BinaryWriter, kind: Scalar, value: unknown): void {
  // The type of `encode` has checked that value and kind fit.
  (writer as unknown as Record<Scalar, (value: unknown) => void>)[kind](value);
}

/** Numbers of a list, one after the other in one field. */
function writePacked(
  writer: BinaryWriter,
  number: number,
  kind: Scalar,
  values: readonly unknown[],
): void {
  writer.tag(number, WireType.LengthDelimited).fork();
  for (const value of values) writeScalar(writer, kind, value);
  writer.join();
}

/** An entry of a map: a message of its key and its value. */
function writeEntry(
  writer: BinaryWriter,
  number: number,
  kind: Kind,
  [key, value]: [string, unknown],
): void {
  writer.tag(number, WireType.LengthDelimited).fork();
  writeField(writer, 1, 'string', key);
  writeField(writer, 2, kind, value);
  writer.join();
}

function readField(
  reader: BinaryReader,
  wire: WireType,
  target: { value: Record<string, unknown>; name: string; field: Field },
): void {
  const { value, name, field } = target;
  const [number, kind, many] = field;
  const expected = typeof kind === 'string' ? WIRE[kind] : WireType.LengthDelimited;
  const isPacked = many === 'repeated' && wire !== expected && wire === WireType.LengthDelimited;
  if (many === 'map') {
    const entry = message({ key: [1, 'string'], value: [2, kind] }).decode(reader.bytes());
    (value[name] as Record<string, unknown>)[entry.key] = entry.value;
  } else if (isPacked) {
    const packed = new BinaryReader(reader.bytes());
    while (packed.pos < packed.len) (value[name] as unknown[]).push(readValue(packed, kind));
  } else if (wire !== expected) {
    throw new StrataError('INVALID_MESSAGE', `field ${name} (${number}) has wire type ${wire}`, {
      field: name,
    });
  } else if (many) {
    (value[name] as unknown[]).push(readValue(reader, kind));
  } else {
    value[name] = readValue(reader, kind);
  }
}

function readValue(reader: BinaryReader, kind: Kind): unknown {
  if (typeof kind !== 'string') return kind.decode(reader.bytes());
  if (kind === 'int64' || kind === 'uint64') return BigInt(reader[kind]());
  return reader[kind]();
}
