/** cgroup v2 `memory`. @see Documentation/admin-guide/cgroup-v2.rst, "Memory" */
import { StrataError } from '../../errors/strata-error.ts';
import {
  type CgroupWrite,
  type Controller,
  RESOURCES_FIELD,
  unsupported,
  write,
} from '../resources.ts';

export const memory: Controller = ({ memory: limits = {} }) => [
  ...write('memory.max', amount(limits.limit), 'memory.limit'),
  ...write('memory.low', amount(limits.reservation), 'memory.reservation'),
  ...swap(limits.limit, limits.swap),
  ...unsupported(limits.swappiness, 'memory.swappiness', 'cgroup v2 has no swappiness'),
  ...unsupported(
    limits.disableOOMKiller || undefined,
    'memory.disableOOMKiller',
    'the OOM killer of cgroup v2 cannot be switched off',
  ),
  ...unsupported(
    limits.kernelTCP || undefined,
    'memory.kernelTCP',
    'cgroup v2 counts the buffers of TCP as memory',
  ),
];

const amount = (bytes: number | undefined): string | undefined =>
  bytes ? (bytes < 0 ? 'max' : String(bytes)) : undefined;

/** A kernel without swap has no file for it, and does not swap more than none or less than all. */
function swap(limit = 0, sum = 0): CgroupWrite[] {
  const value = swapAlone(limit, sum);
  const writes = write('memory.swap.max', value, 'memory.swap');
  const isOptional = value === 'max' || value === '0';
  return isOptional ? writes.map((each) => ({ ...each, isOptional })) : writes;
}

/** The spec's swap is memory and swap together, as v1 has it; v2 wants swap alone. */
function swapAlone(limit: number, sum: number): string | undefined {
  if (sum === 0) return limit < 0 ? 'max' : undefined;
  if (sum < 0) return 'max';
  if (limit <= 0 || sum < limit) {
    const field = `${RESOURCES_FIELD}.memory.swap`;
    const message = `${field}: ${sum} includes memory, so it must be at least memory.limit`;
    throw new StrataError('INVALID_CONFIG', message, { field });
  }
  return String(sum - limit);
}
