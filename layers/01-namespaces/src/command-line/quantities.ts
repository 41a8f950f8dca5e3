/** Amounts as people write them: `64m`, `1.5g`, `4096`. */
import { StrataError } from '../errors/strata-error.ts';

const UNITS: Record<string, number> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
};

/** Bytes; units are powers of 1024, as Docker's. @throws {StrataError} USAGE naming `flag` */
export function parseMemory(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)i?b?$/i.exec(text);
  const bytes = match && Math.floor(Number(match[1]) * UNITS[match[2]!.toLowerCase()]!);
  if (bytes !== null && Number.isSafeInteger(bytes)) return bytes;
  throw new StrataError('USAGE', `${flag}: ${JSON.stringify(text)} is not an amount of memory`, {
    field: flag,
    hint: 'such as 64m or 1.5g',
  });
}
