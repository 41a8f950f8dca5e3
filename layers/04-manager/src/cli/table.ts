/** Tables as `strata` prints them, and the short forms of ids, sizes and times. */
import { table as columns } from '@strata/namespaces';

export const table = (rows: readonly (readonly string[])[]): string => columns(rows, '   ');

/** The first 12 digits, as everybody shows them. */
export const shortId = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12);

export function humanSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toPrecision(3)} ${units[unit]}`;
}

/** `12 minutes ago`, from nanoseconds of the Unix epoch. */
export function ago(ns: bigint): string {
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - Number(ns / 1_000_000_000n)));
  for (const [name, length] of [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ] as const) {
    const count = Math.floor(seconds / length);
    if (count > 0) return `${count} ${name}${count > 1 ? 's' : ''} ago`;
  }
  return `${seconds} second${seconds === 1 ? '' : 's'} ago`;
}
