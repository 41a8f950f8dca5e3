/** cgroup v2 `memory`. @see Documentation/admin-guide/cgroup-v2.rst, "Memory" */
import { StrataError } from '../../errors/strata-error.ts';
import { type Controller, RESOURCES_FIELD, write } from '../resources.ts';

export const memory: Controller = ({ memory: limits = {} }) => [
  ...write('memory.max', amount(limits.limit), 'memory.limit'),
  ...write('memory.low', amount(limits.reservation), 'memory.reservation'),
  ...write('memory.swap.max', swapAlone(limits.limit, limits.swap), 'memory.swap'),
];

const amount = (bytes: number | undefined): string | undefined =>
  bytes ? (bytes < 0 ? 'max' : String(bytes)) : undefined;

/** The spec's swap is memory and swap together, as v1 has it; v2 wants swap alone. */
function swapAlone(limit = 0, swap = 0): string | undefined {
  if (swap === 0) return undefined;
  if (swap < 0) return 'max';
  if (limit <= 0 || swap < limit) {
    const field = `${RESOURCES_FIELD}.memory.swap`;
    const message = `${field}: ${swap} includes memory, so it must be at least memory.limit`;
    throw new StrataError('INVALID_CONFIG', message, { field });
  }
  return String(swap - limit);
}
