/**
 * What an assembler has been told, beside the bytes that came of it:
 *
 *   ; wait for a request: look 3000 times, which is faster than to sleep
 *   serve:
 *     400112  41 bb b8 0b 00 00     set t1, 3000
 *
 * What stands behind the bytes are the operations of assembler.ts.
 */
import type { Assembler } from './assembler.ts';

export interface ListedInstruction {
  /** In the memory of the process that runs it. */
  address: number;
  bytes: Uint8Array;
  /** The operation of the assembler: `set`, `load64`, `syscall`. */
  operation: string;
  operands: readonly (string | number)[];
  /** What jumps here call this place, if any do. */
  labels: readonly string[];
  /** What this instruction and those after it are for; said of the first. */
  note?: string;
}
export type Listing = readonly ListedInstruction[];

export class ListingAssembler {
  /** Assembles, and is listened to. */
  readonly assembler: Assembler;
  readonly #origin: number;
  readonly #entries: { at: number; operation: string; operands: (string | number)[] }[] = [];
  #code: Uint8Array | undefined;

  /** @param origin the address of the first byte */
  constructor(inner: Assembler, origin: number) {
    this.#origin = origin;
    this.assembler = new Proxy(inner, {
      get: (target, property: keyof Assembler) => {
        const member = target[property];
        if (typeof member !== 'function') return member;
        return (...operands: (string | number)[]) => this.#hear(target, property, operands);
      },
    });
  }

  #hear(inner: Assembler, operation: keyof Assembler, operands: (string | number)[]): unknown {
    const at = inner.size;
    const method = inner[operation] as (...operands: (string | number)[]) => unknown;
    const result = method.apply(inner, operands);
    if (operation === 'finish') this.#code = result as Uint8Array;
    else this.#entries.push({ at, operation, operands });
    return result;
  }

  /** The instructions in their order, when `finish` has been called. */
  lines(): Listing {
    const code = this.#code!;
    const lines: ListedInstruction[] = [];
    let labels: string[] = [];
    let note: string | undefined;
    this.#entries.forEach(({ at, operation, operands }, index) => {
      if (operation === 'label') {
        labels.push(String(operands[0]));
        return;
      }
      if (operation === 'note') {
        note = String(operands[0]);
        return;
      }
      const end = this.#entries[index + 1]?.at ?? code.length;
      const bytes = code.subarray(at, end);
      const address = this.#origin + at;
      lines.push({ address, bytes, operation, operands, labels, ...(note && { note }) });
      labels = [];
      note = undefined;
    });
    return lines;
  }
}

/** As text, a line for each label and each instruction. */
export function formatListing(listing: Listing): string[] {
  const hex = (bytes: Uint8Array): string =>
    [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const width = Math.max(...listing.map(({ bytes }) => bytes.length * 3 - 1));
  return listing.flatMap(({ address, bytes, operation, operands, labels, note }) => [
    ...(note ? [`; ${note}`] : []),
    ...labels.map((label) => `${label}:`),
    `  ${address.toString(16)}  ${hex(bytes).padEnd(width)}  ${operation} ${operands.join(', ')}`.trimEnd(),
  ]);
}
