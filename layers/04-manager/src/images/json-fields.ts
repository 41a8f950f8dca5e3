/**
 * Reads fields of JSON documents that strangers wrote, with errors that name the field.
 *
 *   const manifest = jsonObject(parseJson(bytes, 'manifest'), 'manifest');
 *   const layers = arrayField(manifest, 'layers', { max: 500 });
 */
import { StrataError } from '@strata/namespaces';

export type JsonObject = Readonly<Record<string, unknown>>;

export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw invalidDocument(what, `is not JSON: ${reason.slice(0, 200)}`, cause);
  }
}

export function jsonObject(value: unknown, field: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as JsonObject;
  }
  throw invalidDocument(field, `is ${kindOf(value)}, an object is needed`);
}

export function arrayOf(value: unknown, field: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw invalidDocument(field, `is ${kindOf(value)}, a list is needed`);
  if (value.length > max) {
    throw invalidDocument(field, `has ${value.length} elements, at most ${max} are allowed`);
  }
  return value;
}

export function stringOf(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  throw invalidDocument(field, `is ${kindOf(value)}, a string is needed`);
}

/** As `stringOf`; undefined and null (which Go writes for empty) give undefined. */
export const optionalString = (value: unknown, field: string): string | undefined =>
  value === undefined || value === null ? undefined : stringOf(value, field);

/** A list of strings; undefined and null give an empty one. */
export const stringsOf = (value: unknown, field: string, max = 10_000): string[] =>
  value === undefined || value === null
    ? []
    : arrayOf(value, field, max).map((item, index) => stringOf(item, `${field}[${index}]`));

/** An object whose values are strings; undefined and null give an empty one. */
export function stringMapOf(value: unknown, field: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  const entries = Object.entries(jsonObject(value, field));
  return Object.fromEntries(entries.map(([key, item]) => [key, stringOf(item, `${field}.${key}`)]));
}

/** The keys of an object; undefined and null give none. */
export const keysOf = (value: unknown, field: string): string[] =>
  value === undefined || value === null ? [] : Object.keys(jsonObject(value, field));

export function byteCount(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalidDocument(field, `is ${JSON.stringify(value)}, a number of bytes is needed`);
}

export function invalidDocument(field: string, reason: string, cause?: unknown): StrataError {
  return new StrataError('INVALID_IMAGE', `${field} ${reason}`, { field, cause });
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
