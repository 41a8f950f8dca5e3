/**
 * Whether this process is in the user namespace that the machine has started with, whose root is the
 * machine's. In any other, most of what root may elsewhere is not for it.
 *
 * @see user_namespaces(7)
 */
import { readFileSync } from 'node:fs';
import { parseIdMap } from './id-map.ts';

const ALL_IDS = 2 ** 32 - 1;

let known: boolean | undefined;

/** The map of the first one is all ids to themselves; one below it that has the same is as good. */
export function isInInitialUserNamespace(): boolean {
  known ??= mapsAllIds(readFileSync('/proc/self/uid_map', 'utf8'));
  return known;
}

export function mapsAllIds(text: string): boolean {
  const [range, ...more] = parseIdMap(text);
  return more.length === 0 && range?.inside === 0 && range.outside === 0 && range.count === ALL_IDS;
}
