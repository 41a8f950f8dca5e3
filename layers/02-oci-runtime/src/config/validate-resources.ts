/** The limits of an `update`: JSON in, `LinuxResources` out. */
import { resources as resourcesShape } from './shape-resources.ts';
import type { LinuxResources } from './spec.ts';
import { parseJson } from './validate.ts';

/**
 * Parses and checks the text; `file` names its origin in errors.
 * @throws {StrataError} INVALID_CONFIG with `field`, a path within the resources
 */
export function parseResources(text: string, file: string): LinuxResources {
  const value = parseJson(text, file);
  const problem = resourcesShape(value);
  if (problem) throw problem.toError(file);
  return value as LinuxResources;
}
