/**
 * Random messages that know the structure: every field of a descriptor, sometimes absent, with
 * values that have broken container runtimes before. For fuzz tests.
 */
import type { DescField, DescMessage, Message } from '@bufbuild/protobuf';
import { create, ScalarType } from '@bufbuild/protobuf';
import fc from 'fast-check';

const HOSTILE_STRINGS = [
  ...['', '.', '..', '/', '//', '../../etc/passwd', '/../..', 'a/../b', '/proc/self/root', '\0'],
  ...['a\nb:x:0:0::/:/bin/sh', 'x=y', '-rf', '$(id)', '%s%n', '\u202e', 'ä'.repeat(300)],
  ...['__proto__', 'constructor', 'A'.repeat(5000), '4294967296', 'ALL', 'CAP_SYS_ADMIN'],
];
const HOSTILE_NUMBERS = [0, -1, 1, 2 ** 31 - 1, -(2 ** 31)];
const HOSTILE_LONGS = [0n, -1n, 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)];

const aString = fc.oneof(
  { weight: 3, arbitrary: fc.stringMatching(/^[a-z0-9]{1,12}$/) },
  { weight: 1, arbitrary: fc.stringMatching(/^\/[a-z]{1,8}(\/[a-z]{1,8}){0,3}$/) },
  { weight: 2, arbitrary: fc.constantFrom(...HOSTILE_STRINGS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
);
const aNumber = fc.oneof(fc.integer(), fc.constantFrom(...HOSTILE_NUMBERS));

/** A random message of this type; `depth` bounds how far messages nest. */
export function arbitraryMessage(schema: DescMessage, depth = 5): fc.Arbitrary<Message> {
  const fields = Object.fromEntries(
    schema.fields
      .filter((field) => depth > 0 || !nests(field))
      .map((field) => [field.localName, arbitraryField(field, depth - 1)]),
  );
  return fc
    .record(fields, { requiredKeys: [] })
    .map((init) => create(schema, init as Record<string, never>));
}

/**
 * A message in which only one field, at some depth, is set: one thing at a time that is unusual, so
 * that it gets past whatever else would be refused.
 */
export function arbitraryPart(schema: DescMessage): fc.Arbitrary<Message> {
  const parts = schema.fields.map((field) => {
    const value =
      field.fieldKind === 'message' ? arbitraryPart(field.message) : arbitraryField(field, 2);
    return value.map((part) => create(schema, { [field.localName]: part } as never));
  });
  return parts.length === 0 ? fc.constant(create(schema)) : fc.oneof(...parts);
}

const nests = (field: DescField): boolean =>
  field.fieldKind === 'message' || (field.fieldKind === 'list' && field.listKind === 'message');

function arbitraryField(field: DescField, depth: number): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case 'scalar':
      return arbitraryScalar(field.scalar);
    case 'enum':
      return fc.oneof(fc.constantFrom(...field.enum.values.map(({ number }) => number)), aNumber);
    case 'message':
      return arbitraryMessage(field.message, depth);
    case 'map':
      return fc.dictionary(aString, aString, { maxKeys: 3 });
    case 'list': {
      const element =
        field.listKind === 'message'
          ? arbitraryMessage(field.message, depth)
          : arbitraryScalar(field.listKind === 'scalar' ? field.scalar : ScalarType.INT32);
      return fc.array(element, { maxLength: 3 });
    }
  }
}

function arbitraryScalar(type: ScalarType): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return aString.map((text) => text.toWellFormed());
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 20 });
    case ScalarType.DOUBLE:
      return fc.double();
    case ScalarType.INT64:
      return fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.constantFrom(...HOSTILE_LONGS));
    case ScalarType.UINT64:
      return fc.bigInt(0n, 2n ** 64n - 1n);
    case ScalarType.UINT32:
      return fc.nat();
    default:
      return aNumber;
  }
}
