/** The process of an `exec`: process.json in, `SpecProcess` out. */

import { process as processShape } from './shape-process.ts';
import type { SpecProcess } from './spec.ts';
import { parseJson } from './validate.ts';

/**
 * Checks a value as a process; `file` names its origin in errors.
 *
 * @throws {StrataError} INVALID_CONFIG with `field`, a path within the process
 */
export function validateProcess(value: unknown, file = 'process.json'): SpecProcess {
  const problem = processShape(value);
  if (problem) throw problem.toError(file);
  return value as SpecProcess;
}

/** Parses and checks the text of a process.json. @throws {StrataError} as validateProcess */
export function parseProcess(text: string, file = 'process.json'): SpecProcess {
  return validateProcess(parseJson(text, file), file);
}
