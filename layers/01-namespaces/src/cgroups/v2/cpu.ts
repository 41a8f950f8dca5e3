/** cgroup v2 `cpu`. @see Documentation/admin-guide/cgroup-v2.rst, "CPU" */
import { type Controller, write } from '../resources.ts';

const DEFAULT_PERIOD_US = 100_000;

export const cpu: Controller = ({ cpu: limits = {} }) => [
  ...write('cpu.weight', limits.shares ? weightOfShares(limits.shares) : undefined, 'cpu.shares'),
  ...write('cpu.max', maximum(limits.quota, limits.period), 'cpu.quota'),
  ...write('cpu.max.burst', limits.burst, 'cpu.burst'),
  ...write('cpu.idle', limits.idle, 'cpu.idle'),
];

/** 2..262144 → 1..10000, linearly: the conversion that the OCI runtimes and kubelet agree on. */
export function weightOfShares(shares: number): number {
  const clamped = Math.min(Math.max(shares, 2), 262_144);
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}

function maximum(quota = 0, period = 0): string | undefined {
  if (quota === 0 && period === 0) return undefined;
  return `${quota > 0 ? quota : 'max'} ${period || DEFAULT_PERIOD_US}`;
}
