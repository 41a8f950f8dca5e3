/**
 * The three formats of the files of a cgroup.
 *
 *   one value     4096             max
 *   keyed         anon 4096        one line for each key
 *   nested        8:0 rbytes=12 rios=3       one line for each device
 *
 * A kernel that says more than it used to is no error: lines of another form are passed over.
 *
 * @see Documentation/admin-guide/cgroup-v2.rst, "Format"
 */
import { StrataError } from '../../errors/strata-error.ts';

/** @throws {StrataError} INVALID_CGROUP_FILE naming the file where the text is no number */
export function parseCount(text: string, file: string): number {
  const trimmed = text.trim();
  if (/^\d{1,20}$/.test(trimmed)) return Number(trimmed);
  const shown = JSON.stringify(text.slice(0, 100));
  throw new StrataError('INVALID_CGROUP_FILE', `${file} holds no number but ${shown}`);
}

/** v1 writes no limit as the largest number of whole pages: 2^63 minus one page. */
const UNLIMITED = 2 ** 62;

/** Undefined for no limit. @throws {StrataError} INVALID_CGROUP_FILE */
export function parseLimit(text: string, file: string): number | undefined {
  if (text.trim() === 'max') return undefined;
  const value = parseCount(text, file);
  return value > UNLIMITED ? undefined : value;
}

/** The numbers of a keyed file, by key; none for a file that is not there. */
export function parseKeyed(text: string | undefined): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of (text ?? '').split('\n')) {
    const [, key, value] = /^(\S+) (\d{1,20})$/.exec(line) ?? [];
    if (key !== undefined) values.set(key, Number(value));
  }
  return values;
}

/** The numbers of a nested-keyed file, by the first word of the line and then by key. */
export function parseNested(text: string | undefined): Map<string, Map<string, number>> {
  const lines = new Map<string, Map<string, number>>();
  for (const line of (text ?? '').split('\n')) {
    const [name, ...pairs] = line.split(' ');
    if (!name || pairs.length === 0) continue;
    const values = lines.get(name) ?? new Map<string, number>();
    for (const pair of pairs) {
      const [, key, value] = /^([^=]+)=(\d{1,20})$/.exec(pair) ?? [];
      if (key !== undefined) values.set(key, Number(value));
    }
    if (values.size > 0) lines.set(name, values);
  }
  return lines;
}
