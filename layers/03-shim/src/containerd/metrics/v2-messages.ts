/** Containerd's metrics of a cgroup of version 2. @see proto/containerd/cgroups/v2.proto */
import { message } from '../../ttrpc/message.ts';

export const METRICS_V2_TYPE = 'io.containerd.cgroups.v2.Metrics';

/** Counts of memory.stat; the kernel's `kernel_stack` is kernelStack here. */
export const MEMORY_STAT_FIELDS = {
  anon: [1, 'uint64'],
  file: [2, 'uint64'],
  kernelStack: [3, 'uint64'],
  slab: [4, 'uint64'],
  sock: [5, 'uint64'],
  shmem: [6, 'uint64'],
  fileMapped: [7, 'uint64'],
  fileDirty: [8, 'uint64'],
  fileWriteback: [9, 'uint64'],
  anonThp: [10, 'uint64'],
  inactiveAnon: [11, 'uint64'],
  activeAnon: [12, 'uint64'],
  inactiveFile: [13, 'uint64'],
  activeFile: [14, 'uint64'],
  unevictable: [15, 'uint64'],
  slabReclaimable: [16, 'uint64'],
  slabUnreclaimable: [17, 'uint64'],
  pgfault: [18, 'uint64'],
  pgmajfault: [19, 'uint64'],
  workingsetRefault: [20, 'uint64'],
  workingsetActivate: [21, 'uint64'],
  workingsetNodereclaim: [22, 'uint64'],
  pgrefill: [23, 'uint64'],
  pgscan: [24, 'uint64'],
  pgsteal: [25, 'uint64'],
  pgactivate: [26, 'uint64'],
  pgdeactivate: [27, 'uint64'],
  pglazyfree: [28, 'uint64'],
  pglazyfreed: [29, 'uint64'],
  thpFaultAlloc: [30, 'uint64'],
  thpCollapseAlloc: [31, 'uint64'],
} as const;

const PidsStat = message({ current: [1, 'uint64'], limit: [2, 'uint64'] });
const CPUStat = message({
  usageUsec: [1, 'uint64'],
  userUsec: [2, 'uint64'],
  systemUsec: [3, 'uint64'],
  nrPeriods: [4, 'uint64'],
  nrThrottled: [5, 'uint64'],
  throttledUsec: [6, 'uint64'],
});
const MemoryStat = message({
  ...MEMORY_STAT_FIELDS,
  usage: [32, 'uint64'],
  usageLimit: [33, 'uint64'],
  swapUsage: [34, 'uint64'],
  swapLimit: [35, 'uint64'],
  maxUsage: [36, 'uint64'],
});
const MemoryEvents = message({
  low: [1, 'uint64'],
  high: [2, 'uint64'],
  max: [3, 'uint64'],
  oom: [4, 'uint64'],
  oomKill: [5, 'uint64'],
});
const RdmaEntry = message({
  device: [1, 'string'],
  hcaHandles: [2, 'uint32'],
  hcaObjects: [3, 'uint32'],
});
const RdmaStat = message({
  current: [1, RdmaEntry, 'repeated'],
  limit: [2, RdmaEntry, 'repeated'],
});
const IOEntry = message({
  major: [1, 'uint64'],
  minor: [2, 'uint64'],
  rbytes: [3, 'uint64'],
  wbytes: [4, 'uint64'],
  rios: [5, 'uint64'],
  wios: [6, 'uint64'],
});
const IOStat = message({ usage: [1, IOEntry, 'repeated'] });
const HugeTlbStat = message({
  current: [1, 'uint64'],
  max: [2, 'uint64'],
  pagesize: [3, 'string'],
});

export const Metrics = message({
  pids: [1, PidsStat],
  cpu: [2, CPUStat],
  memory: [4, MemoryStat],
  rdma: [5, RdmaStat],
  io: [6, IOStat],
  hugetlb: [7, HugeTlbStat, 'repeated'],
  memoryEvents: [8, MemoryEvents],
});
