/** Ids, and finding something by an id, its beginning, or a name. */
import { randomBytes } from 'node:crypto';
import { StrataError } from '@strata/namespaces';
import type { StateDatabase } from '../state/state-database.ts';

/** 64 hexadecimal digits, as the whole field has them. */
export const newId = (): string => randomBytes(32).toString('hex');

let lastNs = 0n;

/**
 * Now, in nanoseconds of the Unix epoch, as the clock is set now. Within a millisecond, which is as
 * fine as Node's clock is, each call says a little more than the one before.
 */
export function nowNs(): bigint {
  const ns = BigInt(Date.now()) * 1_000_000n;
  const isSameMillisecond = lastNs - ns >= 0n && lastNs - ns < 1_000_000n;
  lastNs = isSameMillisecond ? lastNs + 1n : ns;
  return lastNs;
}

/**
 * The full id of what `text` means in `table`.
 * @param nameColumn a column that may hold `text` itself
 * @throws {StrataError} NOT_FOUND, AMBIGUOUS_ID
 */
export function findId(
  state: StateDatabase,
  table: 'containers' | 'pods',
  text: string,
  nameColumn?: 'name',
): string {
  const exact = state.get<{ id: string }>(`SELECT id FROM ${table} WHERE id = ?`, text);
  if (exact) return exact.id;
  if (nameColumn) {
    const named = state.get<{ id: string }>(`SELECT id FROM ${table} WHERE name = ?`, text);
    if (named) return named.id;
  }
  const matches = /^[0-9a-f]+$/.test(text)
    ? state.all<{ id: string }>(`SELECT id FROM ${table} WHERE id LIKE ? LIMIT 2`, `${text}%`)
    : [];
  if (matches.length === 1) return matches[0]!.id;
  const kind = table.slice(0, -1);
  if (matches.length > 1) {
    throw new StrataError('AMBIGUOUS_ID', `several ${table} have ids that begin with ${text}`, {
      hint: 'give more digits',
    });
  }
  throw new StrataError('NOT_FOUND', `${kind} ${JSON.stringify(text)} does not exist`);
}
