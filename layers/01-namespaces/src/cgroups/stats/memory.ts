/**
 * Memory.
 *
 *                 v1                                     v2
 *   usage         memory.usage_in_bytes                  memory.current
 *   swap alone    memory.memsw.* minus memory.*          memory.swap.current, memory.swap.max
 *   kernel        memory.kmem.usage_in_bytes             memory.stat: kernel
 *   fields        memory.stat, of it and those below: total_*    memory.stat
 */
import type { Counters } from './counters.ts';
import { known } from './counters.ts';
import { type Pressure, readPressure } from './pressure.ts';

export interface MemoryStats {
  /** Bytes, page cache included. */
  usage: number;
  /** Usage without the cache that can be dropped at once: what kubelet evicts by. */
  workingSet: number;
  /** Bytes; not there without a limit. */
  limit?: number;
  /** The most it ever was. */
  peak?: number;
  /** How often the limit was hit. */
  limitHits?: number;
  swap?: { usage: number; limit?: number };
  /** Bytes of the kernel's own structures, kept for its processes. */
  kernel?: number;
  /** All that memory.stat says, by the kernel's names: bytes, and counts of events (pgfault). */
  fields: Readonly<Record<string, number>>;
  /** By the kernel's names: low, high, max, oom, oom_kill, ... On v1 oom_kill alone. */
  events: Readonly<Record<string, number>>;
  pressure?: Pressure;
}

export function memoryStats(
  memory: Counters | undefined,
  unified: string | undefined,
): MemoryStats | undefined {
  const read = memory?.version === 1 ? ofV1(memory) : memory && ofV2(memory);
  if (!read || read.usage === undefined) return undefined;
  const { fields, events, inactiveFile, usage, ...rest } = read;
  return known<MemoryStats>({
    ...rest,
    usage,
    // Both are read a moment apart.
    workingSet: Math.max(0, usage - inactiveFile),
    fields: Object.fromEntries(fields),
    events: Object.fromEntries(events),
    pressure: readPressure(unified, 'memory'),
  });
}

function ofV1(memory: Counters) {
  const own = memory.keyed('memory.stat');
  // Those with the cgroups below, where there are any: what v2 counts.
  const totals = [...own].filter(([key]) => key.startsWith(TOTAL));
  const fields =
    totals.length > 0 ? new Map(totals.map(([key, n]) => [key.slice(TOTAL.length), n])) : own;
  const usage = memory.count('memory.usage_in_bytes');
  const limit = memory.limit('memory.limit_in_bytes');
  const sum = memory.count('memory.memsw.usage_in_bytes');
  const sumLimit = memory.limit('memory.memsw.limit_in_bytes');
  const kill = memory.keyed('memory.oom_control').get('oom_kill');
  return {
    usage,
    limit,
    inactiveFile: fields.get('inactive_file') ?? 0,
    peak: memory.count('memory.max_usage_in_bytes'),
    limitHits: memory.count('memory.failcnt'),
    swap:
      sum === undefined || usage === undefined
        ? undefined
        : swap(
            // The kernel counts them in batches, one after the other.
            Math.max(0, fields.get('swap') ?? sum - usage),
            sumLimit === undefined ? undefined : Math.max(0, sumLimit - (limit ?? 0)),
          ),
    kernel: memory.count('memory.kmem.usage_in_bytes'),
    fields,
    events: new Map(kill === undefined ? [] : [['oom_kill', kill]]),
  };
}

const TOTAL = 'total_';

function ofV2(memory: Counters) {
  const fields = memory.keyed('memory.stat');
  const events = memory.keyed('memory.events');
  const swapUsage = memory.count('memory.swap.current');
  return {
    usage: memory.count('memory.current'),
    limit: memory.limit('memory.max'),
    inactiveFile: fields.get('inactive_file') ?? 0,
    peak: memory.count('memory.peak'),
    limitHits: events.get('max'),
    swap: swapUsage === undefined ? undefined : swap(swapUsage, memory.limit('memory.swap.max')),
    kernel: fields.get('kernel'),
    fields,
    events,
  };
}

const swap = (usage: number, limit: number | undefined): { usage: number; limit?: number } =>
  known({ usage, limit });
