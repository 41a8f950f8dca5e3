/**
 * The descriptors of a process that is only made up: numbers are given as the kernel gives them, the
 * lowest free one first, so that a recording reads as the real thing would.
 *
 * @see open(2), "the lowest-numbered file descriptor not currently open"
 */
const STANDARD = [0, 1, 2];

export class DescriptorTable {
  readonly #open: Set<number>;

  /** @param open those that the process has from the start; default: 0, 1 and 2 */
  constructor(open: Iterable<number> = STANDARD) {
    this.#open = new Set(open);
  }

  /** Opens the lowest free number from `least` on. */
  take(least = 0): number {
    let number = least;
    while (this.#open.has(number)) number++;
    this.#open.add(number);
    return number;
  }

  /** Opens this very number, whatever it was. */
  put(number: number): number {
    this.#open.add(number);
    return number;
  }

  /** @returns whether it was open */
  close(number: number): boolean {
    return this.#open.delete(number);
  }

  closeRange(first: number, last: number): void {
    for (const number of this.#open) if (number >= first && number <= last) this.close(number);
  }

  /** As clone(2) gives it to a child. */
  copy(): DescriptorTable {
    return new DescriptorTable(this.#open);
  }
}
