/**
 * What is wrong in a document, and where.
 *
 * A check returns a problem instead of throwing it, and each level on the way out adds its key. So
 * a valid document, the usual case, costs no path building at all.
 *
 *   uint32("root") ─▶ Problem [] ─▶ .within('uid') ─▶ .within('user') ─▶ process.user.uid
 */
import { StrataError } from '@strata/namespaces';

export class Problem {
  readonly #keys: (string | number)[] = [];
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }

  /** Adds the key that leads to where the problem was found; inner keys first. */
  within(...keys: (string | number)[]): this {
    this.#keys.unshift(...keys);
    return this;
  }

  /** `process.user.uid`, `mounts[3].destination`, `linux.sysctl["net.ipv4.ip_forward"]`. */
  get field(): string {
    let path = '';
    for (const key of this.#keys) {
      if (typeof key === 'number') path += `[${key}]`;
      else if (!/^[\w$-]+$/.test(key)) path += `[${JSON.stringify(key)}]`;
      else path += path === '' ? key : `.${key}`;
    }
    return path;
  }

  /** The error of `file`; a problem of the document as a whole has the file as its field. */
  toError(file: string): StrataError {
    const field = this.field || file;
    const where = field === file ? file : `${file}: ${field}`;
    return new StrataError('INVALID_CONFIG', `${where}: ${this.reason}`, { field });
  }
}

/** A problem at a path. */
export function problemAt(keys: readonly (string | number)[], reason: string): Problem {
  return new Problem(reason).within(...keys);
}

const SHOWN_CHARACTERS = 80;

/** A value as error messages show it: short, and never the inside of a list or an object. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return String(value);
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' ? value : String(value);
  const short = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  return typeof value === 'string' ? JSON.stringify(short) : short;
}
