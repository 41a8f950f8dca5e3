/** Limits: numbers that cgroups can hold, and file names that stay in the cgroup's directory. */
import {
  HugepageLimitSchema,
  type LinuxContainerResources,
  LinuxContainerResourcesSchema,
} from '../generated/runtime/v1/resources_pb.ts';
import { each, entries, matches, message, optional, type Rule, within } from './rule.ts';

/** Beyond this a number loses digits on its way; the kernel's own limit is 2^63 - 1. */
const amount = within(0, Number.MAX_SAFE_INTEGER);
/** -1 stands for no limit. */
const amountOrUnlimited = within(-1, Number.MAX_SAFE_INTEGER);

/** @see cpuset(7) "List format" */
const cpuList = optional<string>(matches(/^\d+(-\d+)?(,\d+(-\d+)?)*$/, 'a list such as 0-3,8'));

export const resources: Rule<LinuxContainerResources | undefined> = message(
  LinuxContainerResourcesSchema,
  {
    cpuPeriod: amount,
    cpuQuota: amountOrUnlimited,
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
);
