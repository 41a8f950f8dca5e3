/** cgroup v1 `cpu`. @see cgroups(7), Documentation/scheduler/sched-bwc.rst */
import { type Controller, invalidLimit, write } from '../resources.ts';

/** What the kernel has room for; it would take another value as the next of these two. */
const FEWEST_SHARES = 2;
const MOST_SHARES = 262_144;

export const cpu: Controller = ({ cpu: limits = {} }) => [
  ...write('cpu.shares', checkedShares(limits.shares), 'cpu.shares'),
  // The period first: a quota is refused that is more than the old period allows.
  ...write('cpu.cfs_period_us', limits.period || undefined, 'cpu.period'),
  ...write('cpu.cfs_quota_us', limits.quota || undefined, 'cpu.quota'),
  ...write('cpu.cfs_burst_us', limits.burst, 'cpu.burst'),
  ...write('cpu.rt_period_us', limits.realtimePeriod || undefined, 'cpu.realtimePeriod'),
  ...write('cpu.rt_runtime_us', limits.realtimeRuntime || undefined, 'cpu.realtimeRuntime'),
  ...write('cpu.idle', limits.idle, 'cpu.idle'),
];

function checkedShares(shares = 0): number | undefined {
  if (shares === 0) return undefined;
  if (shares >= FEWEST_SHARES && shares <= MOST_SHARES) return shares;
  throw invalidLimit('cpu.shares', `${shares} is not from ${FEWEST_SHARES} to ${MOST_SHARES}`);
}
