/** Limits: numbers that cgroups can hold, and file names that stay in the cgroup's directory. */
import {
  HugepageLimitSchema,
  type LinuxContainerResources,
  LinuxContainerResourcesSchema,
} from '../generated/runtime/v1/resources_pb.ts';
import { each, entries, invalid, matches, message, optional, type Rule, within } from './rule.ts';

/** Beyond this a number loses digits on its way; the kernel's own limit is 2^63 - 1. */
const amount = within(0, Number.MAX_SAFE_INTEGER);
/** -1 stands for no limit. */
const amountOrUnlimited = within(-1, Number.MAX_SAFE_INTEGER);

/** Microseconds that the kernel takes as a period, if one is given. @see sched-bwc in its docs */
const cpuPeriod: Rule<bigint> = (value, at) => {
  if (value !== 0n) within(1000, 1_000_000)(value, at);
};

/** Microseconds; less than one millisecond is no quota to the kernel. */
const cpuQuota: Rule<bigint> = (value, at) => {
  if (value !== 0n && value !== -1n) within(1000, Number.MAX_SAFE_INTEGER)(value, at);
};

/** Swap is counted together with memory, so it cannot be less. */
const swapAboveMemory: Rule<LinuxContainerResources> = (limits, at) => {
  const { memoryLimitInBytes: memory, memorySwapLimitInBytes: swap } = limits;
  if (swap <= 0n) return;
  const path = `${at}.memory_swap_limit_in_bytes`;
  if (memory === 0n) throw invalid(path, 'needs memory_limit_in_bytes');
  if (swap < memory) throw invalid(path, `${swap} is less than memory_limit_in_bytes, ${memory}`);
};

/** @see cpuset(7) "List format" */
const cpuList = optional<string>(matches(/^\d+(-\d+)?(,\d+(-\d+)?)*$/, 'a list such as 0-3,8'));

export const resources: Rule<LinuxContainerResources | undefined> = message(
  LinuxContainerResourcesSchema,
  {
    cpuPeriod,
    cpuQuota,
    cpuShares: amount,
    memoryLimitInBytes: amount,
    memorySwapLimitInBytes: amountOrUnlimited,
    oomScoreAdj: within(-1000, 1000),
    cpusetCpus: cpuList,
    cpusetMems: cpuList,
    hugepageLimits: each(
      message(HugepageLimitSchema, { pageSize: matches(/^\d+[KMG]B$/, 'a size such as 2MB') }),
    ),
    unified: entries({
      key: matches(/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/, 'a file of a cgroup, such as memory.high'),
    }),
  },
  swapAboveMemory,
);
