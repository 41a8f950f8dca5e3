/**
 * Rules: functions that accept a value or throw INVALID_ARGUMENT with the field's path.
 *
 *   const metadata = message(PodSandboxMetadataSchema, { name: required(text(253)) });
 *   metadata(config.metadata, 'config.metadata')  // throws "config.metadata.name: required"
 *
 * Paths are in the interface's own field names (snake case), for that is what a client's author has
 * before their eyes. A value is quoted in a message only in part: it may be hostile, or a secret.
 */
import type { Message } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import { StrataError } from '@strata/namespaces';

export type Rule<T> = (value: T, at: string) => void;

/** The error of a field that breaks a rule. */
export function invalid(at: string, why: string): StrataError {
  return new StrataError('INVALID_ARGUMENT', `${at}: ${why}`, { field: at });
}

const QUOTE_LIMIT_CHARS = 64;

/** `value` in quotes, control characters escaped, cut after 64 characters. */
export function quote(value: string): string {
  const cut = value.length > QUOTE_LIMIT_CHARS ? `${value.slice(0, QUOTE_LIMIT_CHARS)}...` : value;
  return JSON.stringify(cut);
}

/** The value is there (a string: not empty), and all `rules` accept it. */
export function required<T>(...rules: Rule<NonNullable<T>>[]): Rule<T> {
  return (value, at) => {
    if (value === undefined || value === null || value === '') throw invalid(at, 'required');
    for (const rule of rules) rule(value, at);
  };
}

/** If the value is there (a string: not empty), all `rules` accept it. */
export function optional<T>(...rules: Rule<NonNullable<T>>[]): Rule<T> {
  return (value, at) => {
    if (value === undefined || value === null || value === '') return;
    for (const rule of rules) rule(value, at);
  };
}

/** All `rules` accept the value. */
export function all<T>(...rules: Rule<T>[]): Rule<T> {
  return (value, at) => {
    for (const rule of rules) rule(value, at);
  };
}

/** Every element of a repeated field. */
export function each<T>(rule: Rule<T>): Rule<readonly T[]> {
  return (values, at) => values.forEach((value, index) => void rule(value, `${at}[${index}]`));
}

/** Every entry of a map. */
export function entries<T>(rules: {
  key: Rule<string>;
  value?: Rule<T>;
}): Rule<Readonly<Record<string, T>>> {
  return (map, at) => {
    for (const [key, value] of Object.entries(map)) {
      const entry = `${at}[${quote(key)}]`;
      rules.key(key, entry);
      rules.value?.(value, entry);
    }
  };
}

/** The text matches; `what` completes "must be ...". */
export function matches(pattern: RegExp, what: string): Rule<string> {
  return (value, at) => {
    if (!pattern.test(value)) throw invalid(at, `must be ${what}, not ${quote(value)}`);
  };
}

/** At most this many bytes of UTF-8, and no control characters. */
export function text(limitBytes: number): Rule<string> {
  return (value, at) => {
    const length = Buffer.byteLength(value);
    if (length > limitBytes) throw invalid(at, `${length} bytes, the limit is ${limitBytes}`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    if (/[\x00-\x1f\x7f]/.test(value)) {
      throw invalid(at, `control character in ${quote(value)}`);
    }
  };
}

/** A number within bounds, both included. */
export function within(low: number, high: number): Rule<number | bigint> {
  return (value, at) => {
    if (value < low || value > high) throw invalid(at, `${value} is not in ${low}..${high}`);
  };
}

/** A whole message: a rule for each field that has one. A message that is not there is accepted. */
export function message<T extends Message>(
  schema: GenMessage<T>,
  rules: { readonly [K in Exclude<keyof T, '$typeName' | '$unknown'>]?: Rule<T[K]> },
  ...whole: Rule<T>[]
): Rule<T | undefined> {
  const named = Object.entries(rules).map(([localName, rule]) => ({
    key: localName as keyof T,
    name: (schema.field as Record<string, { name: string }>)[localName]!.name,
    rule: rule as Rule<unknown>,
  }));
  return (value, at) => {
    if (value === undefined) return;
    for (const { key, name, rule } of named) rule(value[key], at === '' ? name : `${at}.${name}`);
    for (const rule of whole) rule(value, at);
  };
}
