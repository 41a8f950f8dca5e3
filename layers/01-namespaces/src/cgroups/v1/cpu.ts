/** cgroup v1 `cpu`. @see cgroups(7), Documentation/scheduler/sched-bwc.rst */
import { type Controller, write } from '../resources.ts';

export const cpu: Controller = ({ cpu: limits = {} }) => [
  ...write('cpu.shares', limits.shares || undefined, 'cpu.shares'),
  // The period first: a quota is refused that is more than the old period allows.
  ...write('cpu.cfs_period_us', limits.period || undefined, 'cpu.period'),
  ...write('cpu.cfs_quota_us', limits.quota || undefined, 'cpu.quota'),
  ...write('cpu.cfs_burst_us', limits.burst, 'cpu.burst'),
  ...write('cpu.rt_period_us', limits.realtimePeriod || undefined, 'cpu.realtimePeriod'),
  ...write('cpu.rt_runtime_us', limits.realtimeRuntime || undefined, 'cpu.realtimeRuntime'),
  ...write('cpu.idle', limits.idle, 'cpu.idle'),
];
