/**
 * Processor time.
 *
 *   v1   cpuacct.usage, usage_user, usage_sys, usage_percpu (ns); cpu.stat: throttling (ns)
 *   v2   cpu.stat: usage_usec, user_usec, system_usec, nr_throttled... (µs)
 */
import type { Counters } from './counters.ts';
import { known } from './counters.ts';
import { type Pressure, readPressure } from './pressure.ts';

export interface CpuStats {
  /** Since the cgroup was made, of all processors together. */
  usageNs: number;
  userNs?: number;
  systemNs?: number;
  /** By processor. v1 only. */
  perCpuNs?: number[];
  throttling?: Throttling;
  pressure?: Pressure;
}

/** What a quota has held back. */
export interface Throttling {
  /** Periods in which there was something to run. */
  periods: number;
  /** Periods in which the quota was used up. */
  throttledPeriods: number;
  throttledNs: number;
  /** Periods in which saved-up time was used. Since Linux 5.14. */
  bursts?: number;
  burstNs?: number;
}

/**
 * @param cpu of the controller `cpu`
 * @param accounting of `cpuacct`, which is `cpu` itself on v2
 */
export function cpuStats(
  cpu: Counters | undefined,
  accounting: Counters | undefined,
  unified: string | undefined,
): CpuStats | undefined {
  const stat = cpu?.keyed('cpu.stat') ?? new Map<string, number>();
  const time = accounting?.version === 1 ? timeOfV1(accounting) : timeOfV2(stat);
  if (time.usageNs === undefined) return undefined;
  return known<CpuStats>({
    ...time,
    usageNs: time.usageNs,
    throttling: throttling(stat),
    pressure: readPressure(unified, 'cpu'),
  });
}

type Time = { [Key in 'usageNs' | 'userNs' | 'systemNs']: number | undefined } & {
  perCpuNs?: number[] | undefined;
};

function timeOfV1(accounting: Counters): Time {
  const each = accounting.text('cpuacct.usage_percpu')?.trim().split(/\s+/);
  return {
    usageNs: accounting.count('cpuacct.usage'),
    userNs: accounting.count('cpuacct.usage_user'),
    systemNs: accounting.count('cpuacct.usage_sys'),
    perCpuNs: each?.every((word) => /^\d+$/.test(word)) ? each.map(Number) : undefined,
  };
}

const timeOfV2 = (stat: ReadonlyMap<string, number>): Time => ({
  usageNs: microseconds(stat.get('usage_usec')),
  userNs: microseconds(stat.get('user_usec')),
  systemNs: microseconds(stat.get('system_usec')),
});

const microseconds = (count: number | undefined): number | undefined =>
  count === undefined ? undefined : count * 1000;

/** Both versions count periods alike, and time in units of their own. */
function throttling(stat: ReadonlyMap<string, number>): Throttling | undefined {
  const periods = stat.get('nr_periods');
  if (periods === undefined) return undefined;
  return known<Throttling>({
    periods,
    throttledPeriods: stat.get('nr_throttled') ?? 0,
    throttledNs: stat.get('throttled_time') ?? microseconds(stat.get('throttled_usec')) ?? 0,
    bursts: stat.get('nr_bursts'),
    burstNs: stat.get('burst_time') ?? microseconds(stat.get('burst_usec')),
  });
}
