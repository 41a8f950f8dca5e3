/**
 * The words in which the shape of a document is written down (shape-*.ts).
 *
 * A check looks at one value and returns what is wrong with it, or nothing. `object` takes one check
 * per member of a TypeScript type, so a member that is forgotten does not compile.
 */
import { Problem, shown } from './problem.ts';

export type Check = (value: unknown) => Problem | undefined;
/** A further check on a value whose shape is known to be right. */
export type Rule<T> = (value: T) => Problem | undefined;

const expected = (what: string, value: unknown): Problem =>
  new Problem(`expected ${what}, found ${shown(value)}`);

export const boolean: Check = (value) =>
  typeof value === 'boolean' ? undefined : expected('true or false', value);

/** Any string the kernel could be given: no NUL byte. */
export const text: Check = (value) => {
  if (typeof value !== 'string') return expected('a string', value);
  if (value.includes('\0'))
    return new Problem(`must not contain a NUL byte, found ${shown(value)}`);
  return undefined;
};

export const nonEmptyText: Check = (value) =>
  value === '' ? new Problem('must not be empty') : text(value);

/** A string that a pattern describes; `what` says it to people. */
export function textLike(pattern: RegExp, what: string): Check {
  return (value) => {
    if (typeof value === 'string' && pattern.test(value)) return undefined;
    return text(value) ?? expected(what, value);
  };
}

/** One of a closed list of words. */
export function oneOf(words: Iterable<string>): Check {
  const known = new Set(words);
  return (value) => {
    if (typeof value !== 'string') return expected('a string', value);
    if (known.has(value)) return undefined;
    return new Problem(`${shown(value)} is not one of ${[...known].join(', ')}`);
  };
}

/** A whole number within bounds, both included. */
export function integer(lowest: number, highest: number): Check {
  return (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= lowest && value <= highest
      ? undefined
      : expected(`a number from ${lowest} to ${highest}`, value);
}

export const uint16 = integer(0, 0xffff);
export const uint32 = integer(0, 0xffff_ffff);
/**
 * A uid or gid. The highest number is -1 to the kernel, "as it is": a process that should become this
 * user would stay root (as CVE-2024-40635 did it in containerd).
 */
export const userId = integer(0, 0xffff_fffe);
export const int32 = integer(-0x8000_0000, 0x7fff_ffff);

/** 64 bits, signed. JSON.parse rounds large numbers, the largest one to 2^63 itself. */
export const int64: Check = (value) =>
  typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 2 ** 63
    ? undefined
    : expected('a whole number of 64 bits', value);

/** 64 bits, unsigned; as above, and exact as a bigint. */
export const uint64: Check = (value) => {
  const fits =
    typeof value === 'bigint'
      ? value >= 0n && value < 1n << 64n
      : typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 2 ** 64;
  return fits ? undefined : expected('a whole number of 64 bits, not negative', value);
};

/** A path from the root. */
export const absolutePath: Check = (value) => {
  const problem = text(value);
  if (problem) return problem;
  return (value as string).startsWith('/') ? undefined : expected('an absolute path', value);
};

/** A path that does not lead through `..`. */
export const straightPath: Check = (value) => {
  const problem = nonEmptyText(value);
  if (problem) return problem;
  if (!(value as string).includes('..')) return undefined;
  if (!(value as string).split('/').includes('..')) return undefined;
  return new Problem(`must not lead through "..", found ${shown(value)}`);
};

/** Each check in turn, the first problem counting. */
export function all(...checks: Check[]): Check {
  return (value) => {
    for (const check of checks) {
      const problem = check(value);
      if (problem) return problem;
    }
    return undefined;
  };
}

export function list<T>(element: Check, rule?: Rule<T[]>): Check {
  return (value) => {
    if (!Array.isArray(value)) return expected('a list', value);
    for (let index = 0; index < value.length; index++) {
      const problem = element(value[index]);
      if (problem) return problem.within(index);
    }
    return rule?.(value as T[]);
  };
}

/** As `list`, at least one element long. */
export function nonEmptyList(element: Check): Check {
  const check = list(element);
  return (value) =>
    Array.isArray(value) && value.length === 0
      ? new Problem('must have at least one entry')
      : check(value);
}

/** An object as a dictionary. */
export function mapOf<T>(key: Check, element: Check, rule?: Rule<T>): Check {
  return (value) => {
    if (!isRecord(value)) return expected('an object', value);
    for (const name of Object.keys(value)) {
      const problem = key(name) ?? element(value[name]);
      if (problem) return problem.within(name);
    }
    return rule?.(value as T);
  };
}

type Members<T> = { [Name in keyof T]-?: Check };
type RequiredNames<T> = {
  [Name in keyof T]-?: object extends Pick<T, Name> ? never : Name;
}[keyof T];

/**
 * An object of type T. Members that T does not have are tolerated, as the specification demands;
 * null, which Go's encoders write for an absent list, is taken out of the object.
 */
export function object<T>(
  members: Members<T>,
  required: readonly (RequiredNames<T> & string)[],
  ...rules: Rule<T>[]
): Check {
  const entries = Object.entries(members) as [string, Check][];
  return (value) => {
    if (!isRecord(value)) return expected('an object', value);
    for (const [name, check] of entries) {
      const member = value[name];
      if (member === undefined) continue;
      const problem = member === null ? removeNull(value, name) : check(member);
      if (problem) return problem.within(name);
    }
    for (const name of required) {
      if (value[name] === undefined) return new Problem('is required').within(name);
    }
    for (const rule of rules) {
      const problem = rule(value as T);
      if (problem) return problem;
    }
    return undefined;
  };
}

function removeNull(value: Record<string, unknown>, name: string): Problem | undefined {
  return Reflect.deleteProperty(value, name) ? undefined : new Problem('must not be null');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
