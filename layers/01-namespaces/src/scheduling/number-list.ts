/**
 * Sets of CPUs and of memory nodes: `0-3,7` as people and cpuset files write them, and bit masks as
 * system calls take them.
 *
 * @see cpuset(7), section FORMATS
 */
import { StrataError } from '../errors/strata-error.ts';

/** No kernel has more CPUs or nodes; without a bound, `0-4000000000` would fill the memory. */
const HIGHEST = 8191;

/**
 * The numbers of a list, ascending and each once. An empty text is an empty set.
 * @throws {StrataError} INVALID_LIST for anything else than numbers up to 8191 and ranges of them
 */
export function parseNumberList(text: string): number[] {
  const refuse = (why: string): never => {
    throw new StrataError('INVALID_LIST', `${why} in the list ${JSON.stringify(text)}`, {
      hint: 'a list is numbers and ranges, such as 0-3,7',
    });
  };
  const numbers = new Set<number>();
  for (const part of text.split(',').map((entry) => entry.trim())) {
    if (part === '') continue;
    const match = /^(\d{1,9})(?:\s*-\s*(\d{1,9}))?$/.exec(part);
    if (!match) return refuse(`${JSON.stringify(part)} is neither a number nor a range`);
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first) refuse(`${part} runs backwards`);
    if (last > HIGHEST) refuse(`${last} is above ${HIGHEST}`);
    for (let number = first; number <= last; number++) numbers.add(number);
  }
  return [...numbers].sort((a, b) => a - b);
}

/** `[0, 1, 2, 5]` → `0-2,5`. The numbers are ascending. */
export function formatNumberList(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let index = 0; index < numbers.length; ) {
    let end = index;
    while (numbers[end + 1] === numbers[end]! + 1) end++;
    const [first, last] = [numbers[index]!, numbers[end]!];
    parts.push(first === last ? String(first) : `${first}-${last}`);
    index = end + 1;
  }
  return parts.join(',');
}

/** A mask of whole 64-bit words; bit N stands for number N. */
export function numbersToMask(numbers: readonly number[]): Uint8Array {
  const highest = numbers.reduce((most, number) => Math.max(most, number), 0);
  const mask = new Uint8Array((Math.floor(highest / 64) + 1) * 8);
  for (const number of numbers) mask[number >> 3]! |= 1 << (number & 7);
  return mask;
}

/** The numbers whose bits are set, ascending. */
export function maskToNumbers(mask: Uint8Array): number[] {
  const numbers: number[] = [];
  mask.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) numbers.push(index * 8 + bit);
  });
  return numbers;
}
