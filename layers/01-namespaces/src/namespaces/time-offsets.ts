/**
 * The clocks of a time namespace: how far its monotonic and boot-time clocks are ahead of the first
 * one's. The time of day is the same everywhere.
 *
 *   /proc/PID/timens_offsets     monotonic     172800         0      clock, seconds, nanoseconds
 *                                boottime      604800         0
 *
 * The file is about the namespace that the children of PID are born in, and can be written until the
 * first process is in it.
 *
 * @see time_namespaces(7)
 */
import { writeFileSync } from 'node:fs';
import { EACCES, EINVAL, EPERM, ERANGE, errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { readProcessFile } from '../processes/process-status.ts';

export interface ClockOffset {
  seconds: number;
  /** 0 to 999,999,999, counted upward also where `seconds` is negative. */
  nanoseconds: number;
}

export interface TimeOffsets {
  monotonic?: ClockOffset;
  boottime?: ClockOffset;
}

const HINTS: Readonly<Record<number, string>> = {
  [EACCES]: 'a process is in the namespace already: offsets are set before the first one enters',
  [EPERM]: 'it needs CAP_SYS_TIME in the user namespace that owns the time namespace',
  [ERANGE]: 'a clock cannot show less than zero, nor more than 146 years',
  [EINVAL]: 'the offset is out of range',
};

/** The offsets in the text of a timens_offsets file. @throws {StrataError} INVALID_TIME_OFFSETS */
export function parseTimeOffsets(text: string): Required<TimeOffsets> {
  const offsets: TimeOffsets = {};
  for (const line of text.split('\n').filter(Boolean)) {
    const match = /^(monotonic|boottime) +(-?\d{1,19}) +(\d{1,9})$/.exec(line);
    if (!match) {
      const shown = JSON.stringify(line.slice(0, 100));
      throw new StrataError('INVALID_TIME_OFFSETS', `a line of timens_offsets is ${shown}`);
    }
    const [, clock, seconds, nanoseconds] = match;
    offsets[clock as keyof TimeOffsets] = {
      seconds: Number(seconds),
      nanoseconds: Number(nanoseconds),
    };
  }
  const { monotonic, boottime } = offsets;
  if (monotonic && boottime) return { monotonic, boottime };
  throw new StrataError('INVALID_TIME_OFFSETS', 'timens_offsets lacks a clock');
}

/**
 * The offsets of the namespace that a process's children are born in.
 * @throws {StrataError} ESRCH; ENOENT on a kernel without time namespaces (before 5.6)
 */
export function readTimeOffsets(pid: number | 'self'): Required<TimeOffsets> {
  return parseTimeOffsets(readProcessFile(pid, 'timens_offsets'));
}

/** An offset in the words of a command line: seconds, with a fraction if need be. */
export function parseClockOffset(text: string): ClockOffset {
  const match = /^([+-]?)(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text);
  if (!match) {
    const hint = 'seconds, as in 86400, -3600 or 0.5';
    throw new StrataError('INVALID_TIME_OFFSETS', `${JSON.stringify(text)} is no offset`, { hint });
  }
  const [, sign, whole, fraction = ''] = match;
  const seconds = Number(whole);
  const nanoseconds = Number(fraction.padEnd(9, '0'));
  if (sign !== '-') return { seconds, nanoseconds };
  if (nanoseconds === 0) return { seconds: -seconds || 0, nanoseconds };
  return { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds };
}

/**
 * Sets the offsets of the time namespace that the children of `pid` will be born in.
 * @throws {StrataError} INVALID_TIME_OFFSETS; TIME_OFFSETS with the kernel's errno and a hint: EACCES
 *   once a process is in it, ERANGE for a clock below zero or beyond 146 years, EPERM
 */
export function writeTimeOffsets(pid: number, offsets: TimeOffsets): void {
  const lines = Object.entries(offsets).map(([clock, offset]: [string, ClockOffset]) => {
    const { seconds, nanoseconds } = offset;
    const isOffset =
      Number.isSafeInteger(seconds) &&
      Number.isInteger(nanoseconds) &&
      nanoseconds >= 0 &&
      nanoseconds < 1e9;
    if (isOffset) return `${clock} ${seconds} ${nanoseconds}\n`;
    const message = `${clock}: ${seconds} s and ${nanoseconds} ns are no offset`;
    throw new StrataError('INVALID_TIME_OFFSETS', message);
  });
  if (lines.length === 0) return;
  const path = `/proc/${pid}/timens_offsets`;
  try {
    writeFileSync(path, lines.join(''));
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    const message = `${path}: the kernel refused ${JSON.stringify(lines.join(''))}: ${errnoName(errno)}`;
    throw new StrataError('TIME_OFFSETS', message, { path, errno, cause, hint: HINTS[errno] });
  }
}
