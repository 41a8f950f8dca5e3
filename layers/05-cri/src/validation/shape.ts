/**
 * What holds for every field of every message: bounds that keep a hostile client from filling
 * memory or slipping a NUL into a path, and enum values that the interface has.
 */
import type { DescField, DescMessage, Message } from '@bufbuild/protobuf';
import { invalid, quote, type Rule } from './rule.ts';

/** All annotations of a Kubernetes object together have at most 256 KiB; a string has no more. */
export const STRING_LIMIT_BYTES = 256 * 1024;

/** Elements of one list or map. */
export const ELEMENT_LIMIT = 16 * 1024;

/** Checks `message` against its descriptor, all the way down. */
export function checkShape(schema: DescMessage, message: Message, at: string): void {
  for (const field of schema.fields) {
    const value = (message as unknown as Record<string, unknown>)[field.localName];
    if (value === undefined || value === '') continue;
    checkField(field, value, at === '' ? field.name : `${at}.${field.name}`);
  }
}

function checkField(field: DescField, value: unknown, at: string): void {
  switch (field.fieldKind) {
    case 'scalar':
      checkScalar(value, at);
      break;
    case 'enum':
      if (!field.enum.value[value as number]) throw invalid(at, `unknown value ${value}`);
      break;
    case 'message':
      checkShape(field.message, value as Message, at);
      break;
    case 'list':
      checkList(field, value as unknown[], at);
      break;
    case 'map':
      checkMap(value as Record<string, unknown>, at);
      break;
  }
}

function checkList(field: DescField & { fieldKind: 'list' }, values: unknown[], at: string): void {
  checkCount(values.length, at);
  values.forEach((value, index) => {
    const path = `${at}[${index}]`;
    if (field.listKind === 'message') checkShape(field.message, value as Message, path);
    else checkScalar(value, path);
  });
}

/** The interface's maps are all from string to string. */
function checkMap(map: Record<string, unknown>, at: string): void {
  const entries = Object.entries(map);
  checkCount(entries.length, at);
  for (const [key, value] of entries) {
    const path = `${at}[${quote(key)}]`;
    checkString(key, path);
    checkScalar(value, path);
  }
}

function checkCount(count: number, at: string): void {
  if (count > ELEMENT_LIMIT) throw invalid(at, `${count} elements, the limit is ${ELEMENT_LIMIT}`);
}

function checkScalar(value: unknown, at: string): void {
  if (typeof value === 'string') checkString(value, at);
}

const checkString: Rule<string> = (value, at) => {
  if (value.includes('\0')) throw invalid(at, `NUL in ${quote(value)}`);
  if (value.length * 3 <= STRING_LIMIT_BYTES) return;
  const bytes = Buffer.byteLength(value);
  if (bytes > STRING_LIMIT_BYTES) {
    throw invalid(at, `${bytes} bytes, the limit is ${STRING_LIMIT_BYTES}`);
  }
};
