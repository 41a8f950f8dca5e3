/**
 * Detach keys: a sequence of keys that ends an attachment and leaves the container running.
 *
 *   'ctrl-p,ctrl-q'   Docker's      'a'   a single letter      'ctrl-[,d'
 *
 * The keys of a sequence that has begun are held back until it is complete (and nobody gets them) or
 * broken (and the process gets them all).
 *
 * @see docker-attach(1), --detach-keys
 */
import { StrataError } from '@strata/namespaces';

const CONTROL = 'ctrl-';
/** What ctrl can be held down with: ctrl-@ is 0, ctrl-a 1, ..., ctrl-_ 31. */
const CONTROL_KEYS = '@abcdefghijklmnopqrstuvwxyz[\\]^_';

/** @throws {StrataError} INVALID_ARGUMENT */
export function parseDetachKeys(text: string): Uint8Array {
  if (text === '') return new Uint8Array();
  return Uint8Array.from(text.split(','), (key) => {
    if (key.length === 1 && key >= ' ' && key <= '~') return key.charCodeAt(0);
    const control = CONTROL_KEYS.indexOf(key.slice(CONTROL.length));
    if (key.startsWith(CONTROL) && key.length === CONTROL.length + 1 && control >= 0) {
      return control;
    }
    throw new StrataError('INVALID_ARGUMENT', `unknown key ${JSON.stringify(key)}`, {
      field: 'detach_keys',
      hint: "give keys such as 'ctrl-p,ctrl-q': letters, or ctrl- with a letter or one of @ [ \\ ] ^ _",
    });
  });
}

export class DetachKeys {
  readonly #sequence: Uint8Array;
  #matched = 0;

  constructor(sequence: Uint8Array) {
    this.#sequence = sequence;
  }

  /** What of the input is for the process, and whether the sequence is complete. */
  filter(input: Uint8Array): { bytes: Uint8Array; detached: boolean } {
    if (this.#sequence.length === 0) return { bytes: input, detached: false };
    const passed: number[] = [];
    for (const byte of input) {
      while (this.#matched > 0 && byte !== this.#sequence[this.#matched]) this.#giveBack(passed);
      if (byte !== this.#sequence[this.#matched]) passed.push(byte);
      else if (++this.#matched === this.#sequence.length) {
        return { bytes: Uint8Array.from(passed), detached: true };
      }
    }
    return { bytes: Uint8Array.from(passed), detached: false };
  }

  /** The longest beginning of the sequence that what was held back still ends with is kept. */
  #giveBack(passed: number[]): void {
    const held = this.#sequence.subarray(0, this.#matched);
    let kept = this.#matched - 1;
    while (kept > 0 && !isEqual(held.subarray(-kept), held.subarray(0, kept))) kept--;
    passed.push(...held.subarray(0, this.#matched - kept));
    this.#matched = kept;
  }
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.every((byte, index) => byte === other[index]);
}
