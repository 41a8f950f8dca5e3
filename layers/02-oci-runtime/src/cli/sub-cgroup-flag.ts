/** The values of `exec --cgroup`: a path alone, or paths with the controllers whose hierarchy is meant. */
import { StrataError } from '@strata/namespaces';
import type { SubCgroup } from '../runtime/sub-cgroups.ts';

/** @throws {StrataError} USAGE */
export function parseSubCgroups(values: readonly string[]): SubCgroup | undefined {
  const [first] = values;
  if (first === undefined) return undefined;
  if (values.length === 1 && !first.includes(':')) return first;
  const paths: Record<string, string> = {};
  for (const value of values) {
    const colon = value.indexOf(':');
    if (colon < 0) throw refused(value, 'several of them need their controllers');
    for (const controller of value.slice(0, colon).split(',')) {
      if (controller === '') throw refused(value, 'a controller is missing before the colon');
      if (Object.hasOwn(paths, controller)) throw refused(value, `${controller} comes twice`);
      paths[controller] = value.slice(colon + 1);
    }
  }
  return paths;
}

const refused = (value: string, why: string): StrataError =>
  new StrataError('USAGE', `--cgroup ${JSON.stringify(value)}: ${why}`);
