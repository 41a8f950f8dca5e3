/** Durations as Go writes them: `5s`, `1m30s`, `1.5h`, `100ms`. @see https://pkg.go.dev/time#ParseDuration */
import { StrataError } from '@strata/namespaces';

const MILLISECONDS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;

/** Milliseconds. @throws {StrataError} USAGE naming `flag` */
export function parseDuration(text: string, flag: string): number {
  let milliseconds = 0;
  let end = 0;
  for (const [part, number, unit] of text.matchAll(PART)) {
    milliseconds += Number(number) * MILLISECONDS[unit!]!;
    end += part.length;
  }
  if (end === text.length && end > 0) return milliseconds;
  throw new StrataError('USAGE', `${flag}: not a duration: ${JSON.stringify(text)}`, {
    hint: 'such as 5s, 1m30s or 100ms',
  });
}
