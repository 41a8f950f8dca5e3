/**
 * Pressure stall information: which part of the time processes stood still for want of something.
 *
 *   some avg10=0.12 avg60=0.03 avg300=0.00 total=58761     at least one of them
 *   full avg10=0.00 avg60=0.00 avg300=0.00 total=2344      all of them at once
 *
 * @see Documentation/accounting/psi.rst
 */
import { EOPNOTSUPP } from '../../errors/errno.ts';
import { errnoOf } from '../../errors/strata-error.ts';
import { readCgroupFile } from '../cgroup-file.ts';

export interface PressureLine {
  /** Percent of the last 10, 60 and 300 seconds. */
  avg10: number;
  avg60: number;
  avg300: number;
  /** Microseconds since the cgroup was made. */
  totalUs: number;
}

export interface Pressure {
  some: PressureLine;
  /** Not there for processors in kernels before 5.13. */
  full?: PressureLine;
}

/** Undefined where the text is not of that form. */
export function parsePressure(text: string): Pressure | undefined {
  const some = line(text, 'some');
  const full = line(text, 'full');
  return some && { some, ...(full && { full }) };
}

function line(text: string, kind: string): PressureLine | undefined {
  const pattern = new RegExp(
    `^${kind} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)$`,
    'm',
  );
  const numbers = pattern.exec(text)?.slice(1).map(Number);
  if (!numbers || numbers.some(Number.isNaN)) return undefined;
  const [avg10, avg60, avg300, totalUs] = numbers as [number, number, number, number];
  return { avg10, avg60, avg300, totalUs };
}

/**
 * @param directory of the cgroup in the v2 hierarchy
 * @returns undefined where the kernel does not measure it (`psi=0`, before Linux 5.2)
 */
export function readPressure(
  directory: string | undefined,
  resource: 'cpu' | 'memory' | 'io',
): Pressure | undefined {
  if (directory === undefined) return undefined;
  try {
    const text = readCgroupFile(`${directory}/${resource}.pressure`);
    return text === undefined ? undefined : parsePressure(text);
  } catch (error) {
    if (errnoOf(error) === EOPNOTSUPP) return undefined;
    throw error;
  }
}
