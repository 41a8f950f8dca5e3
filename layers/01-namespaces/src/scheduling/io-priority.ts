/**
 * I/O priorities: a class and, for two of them, a level.
 *
 *   15    13 12          3 2     0
 *   ┌───────┬─────────────┬───────┐
 *   │ class │ hint        │ level │     level 0 is served first, 7 last
 *   └───────┴─────────────┴───────┘
 *
 * Schedulers without priorities (none, mq-deadline in part) keep the number and ignore it.
 *
 * @see ioprio_set(2), runtime-spec config.md#linux-process (ioPriority)
 */
import { StrataError } from '../errors/strata-error.ts';

/** In the order of their numbers, from 0. */
export const IO_PRIORITY_CLASSES: readonly string[] = [
  'IOPRIO_CLASS_NONE',
  'IOPRIO_CLASS_RT',
  'IOPRIO_CLASS_BE',
  'IOPRIO_CLASS_IDLE',
];
const CLASS_SHIFT = 13;
const LEVEL_MASK = 7;

export interface IoPriority {
  /** IOPRIO_CLASS_RT, _BE, _IDLE, or _NONE: by the nice value. */
  class: string;
  /** 0 to 7; without meaning for the classes IDLE and NONE. */
  priority: number;
}

/**
 * The number that ioprio_set(2) takes.
 * @throws {StrataError} INVALID_CONFIG naming the member: an unknown class, a level out of 0 to 7
 */
export function encodeIoPriority(priority: IoPriority, field = 'process.ioPriority'): number {
  const number = IO_PRIORITY_CLASSES.indexOf(priority.class);
  if (number < 0) {
    const message = `${field}.class: unknown class ${JSON.stringify(priority.class)}`;
    throw new StrataError('INVALID_CONFIG', message, { field: `${field}.class` });
  }
  const level = priority.priority;
  if (!Number.isInteger(level) || level < 0 || level > LEVEL_MASK) {
    const message = `${field}.priority: ${level} is not a whole number from 0 to ${LEVEL_MASK}`;
    throw new StrataError('INVALID_CONFIG', message, { field: `${field}.priority` });
  }
  // The kernel refuses a level with class NONE, and keeps none with IDLE.
  return (number << CLASS_SHIFT) | (number === 0 || number === 3 ? 0 : level);
}

/** What ioprio_get(2) returned. */
export function decodeIoPriority(value: number): IoPriority {
  const number = value >> CLASS_SHIFT;
  return {
    class: IO_PRIORITY_CLASSES[number] ?? `IOPRIO_CLASS_${number}`,
    priority: value & LEVEL_MASK,
  };
}
