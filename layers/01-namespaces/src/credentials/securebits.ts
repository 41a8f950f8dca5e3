/**
 * Securebits: which of root's privileges by uid alone a process and its children give up. Each bit
 * has a lock, which can be set and never taken back.
 *
 *   bit              set: uid 0 means nothing special...
 *   noroot           ...at execve: no capabilities for root or set-user-ID root
 *   no-setuid-fixup  ...at changes of uid: the sets stay as they are
 *   keep-caps        one change of uid keeps what is permitted (cleared at execve)
 *   no-cap-ambient-raise  nothing becomes ambient any more
 *   exec-restrict-file, exec-deny-interactive   hints to interpreters (Linux 6.14)
 *
 * @see capabilities(7), "The securebits flags"
 */
import { StrataError } from '../errors/strata-error.ts';

/** In the order of their numbers; the lock of bit 2N is bit 2N+1. */
const NAMES = [
  'noroot',
  'no-setuid-fixup',
  'keep-caps',
  'no-cap-ambient-raise',
  'exec-restrict-file',
  'exec-deny-interactive',
] as const;
const LOCKED = '-locked';

/** Names → bit: `noroot` → 1, `noroot-locked` → 2. */
export const SECUREBITS: Readonly<Record<string, number>> = Object.fromEntries(
  NAMES.flatMap((name, index) => [
    [name, 1 << (2 * index)],
    [`${name}${LOCKED}`, 2 << (2 * index)],
  ]),
);

/** @throws {StrataError} INVALID_SECUREBIT for a name that is none */
export function securebitsMask(names: readonly string[]): number {
  return names.reduce((mask, name) => {
    if (!Object.hasOwn(SECUREBITS, name)) {
      throw new StrataError('INVALID_SECUREBIT', `unknown securebit ${JSON.stringify(name)}`, {
        hint: `there are ${Object.keys(SECUREBITS).join(', ')}`,
      });
    }
    return mask | SECUREBITS[name]!;
  }, 0);
}

/** The names in a mask; bits without a name as `bit-14`. */
export function securebitsNames(mask: number): string[] {
  const byBit = new Map(Object.entries(SECUREBITS).map(([name, bit]) => [bit, name]));
  const names: string[] = [];
  for (let number = 0; number < 32; number++) {
    const bit = 2 ** number;
    if (Math.floor(mask / bit) % 2 === 1) names.push(byBit.get(bit) ?? `bit-${number}`);
  }
  return names;
}
