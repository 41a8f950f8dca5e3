/** cgroup v2 `cpu`. @see Documentation/admin-guide/cgroup-v2.rst, "CPU" */
import { type Controller, unsupported, write } from '../resources.ts';

const DEFAULT_PERIOD_US = 100_000;

export const cpu: Controller = ({ cpu: limits = {} }) => [
  // An idle cgroup takes no weight, so the weight comes after the end of its idling.
  ...write('cpu.idle', limits.idle === 0 ? 0 : undefined, 'cpu.idle'),
  ...write('cpu.weight', limits.shares ? weightOfShares(limits.shares) : undefined, 'cpu.shares'),
  ...write('cpu.max', maximum(limits.quota, limits.period), 'cpu.quota'),
  ...write('cpu.max.burst', limits.burst, 'cpu.burst'),
  ...write('cpu.idle', limits.idle || undefined, 'cpu.idle'),
  ...unsupported(limits.realtimeRuntime || undefined, 'cpu.realtimeRuntime', NO_REALTIME),
  ...unsupported(limits.realtimePeriod || undefined, 'cpu.realtimePeriod', NO_REALTIME),
];

const NO_REALTIME = 'cgroup v2 has no limits for realtime processes';

/**
 * 2..262144 → 1..10000, and the default of the one, 1024, to that of the other, 100.
 *
 * A parabola through the three points on logarithmic scales, which kubelet, runc 1.4 and crun 1.23
 * agree on; the straight line that was used before made the default a weight of 39.
 *
 * @see https://github.com/kubernetes/kubernetes/issues/131216
 */
export function weightOfShares(shares: number): number {
  const clamped = Math.min(Math.max(shares, 2), 262_144);
  if (clamped === 2) return 1;
  const exponent = Math.log2(clamped);
  return Math.ceil(10 ** ((exponent ** 2 + 125 * exponent) / 612 - 7 / 34));
}

function maximum(quota = 0, period = 0): string | undefined {
  if (quota === 0 && period === 0) return undefined;
  return `${quota > 0 ? quota : 'max'} ${period || DEFAULT_PERIOD_US}`;
}
