/** Containerd's metrics of a cgroup of version 1. @see proto/containerd/cgroups/v1.proto */
import { message } from '../../ttrpc/message.ts';

export const METRICS_V1_TYPE = 'io.containerd.cgroups.v1.Metrics';

const HugetlbStat = message({
  usage: [1, 'uint64'],
  max: [2, 'uint64'],
  failcnt: [3, 'uint64'],
  pagesize: [4, 'string'],
});
const PidsStat = message({ current: [1, 'uint64'], limit: [2, 'uint64'] });
const CPUUsage = message({
  total: [1, 'uint64'],
  kernel: [2, 'uint64'],
  user: [3, 'uint64'],
  perCpu: [4, 'uint64', 'repeated'],
});
const Throttle = message({
  periods: [1, 'uint64'],
  throttledPeriods: [2, 'uint64'],
  throttledTime: [3, 'uint64'],
});
const CPUStat = message({ usage: [1, CPUUsage], throttling: [2, Throttle] });
const MemoryEntry = message({
  limit: [1, 'uint64'],
  usage: [2, 'uint64'],
  max: [3, 'uint64'],
  failcnt: [4, 'uint64'],
});

/** Each count of memory.stat is there twice: of the cgroup, and with those below it (`total`). */
const MemoryStat = message({
  cache: [1, 'uint64'],
  rss: [2, 'uint64'],
  rssHuge: [3, 'uint64'],
  mappedFile: [4, 'uint64'],
  dirty: [5, 'uint64'],
  writeback: [6, 'uint64'],
  pgPgIn: [7, 'uint64'],
  pgPgOut: [8, 'uint64'],
  pgFault: [9, 'uint64'],
  pgMajFault: [10, 'uint64'],
  inactiveAnon: [11, 'uint64'],
  activeAnon: [12, 'uint64'],
  inactiveFile: [13, 'uint64'],
  activeFile: [14, 'uint64'],
  unevictable: [15, 'uint64'],
  hierarchicalMemoryLimit: [16, 'uint64'],
  hierarchicalSwapLimit: [17, 'uint64'],
  totalCache: [18, 'uint64'],
  totalRss: [19, 'uint64'],
  totalRssHuge: [20, 'uint64'],
  totalMappedFile: [21, 'uint64'],
  totalDirty: [22, 'uint64'],
  totalWriteback: [23, 'uint64'],
  totalPgPgIn: [24, 'uint64'],
  totalPgPgOut: [25, 'uint64'],
  totalPgFault: [26, 'uint64'],
  totalPgMajFault: [27, 'uint64'],
  totalInactiveAnon: [28, 'uint64'],
  totalActiveAnon: [29, 'uint64'],
  totalInactiveFile: [30, 'uint64'],
  totalActiveFile: [31, 'uint64'],
  totalUnevictable: [32, 'uint64'],
  usage: [33, MemoryEntry],
  swap: [34, MemoryEntry],
  kernel: [35, MemoryEntry],
  kernelTcp: [36, MemoryEntry],
});
const MemoryOomControl = message({
  oomKillDisable: [1, 'uint64'],
  underOom: [2, 'uint64'],
  oomKill: [3, 'uint64'],
});
const BlkIOEntry = message({
  op: [1, 'string'],
  device: [2, 'string'],
  major: [3, 'uint64'],
  minor: [4, 'uint64'],
  value: [5, 'uint64'],
});
const BlkIOStat = message({
  ioServiceBytesRecursive: [1, BlkIOEntry, 'repeated'],
  ioServicedRecursive: [2, BlkIOEntry, 'repeated'],
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
const NetworkStat = message({
  name: [1, 'string'],
  rxBytes: [2, 'uint64'],
  rxPackets: [3, 'uint64'],
  rxErrors: [4, 'uint64'],
  rxDropped: [5, 'uint64'],
  txBytes: [6, 'uint64'],
  txPackets: [7, 'uint64'],
  txErrors: [8, 'uint64'],
  txDropped: [9, 'uint64'],
});

export const Metrics = message({
  hugetlb: [1, HugetlbStat, 'repeated'],
  pids: [2, PidsStat],
  cpu: [3, CPUStat],
  memory: [4, MemoryStat],
  blkio: [5, BlkIOStat],
  rdma: [6, RdmaStat],
  network: [7, NetworkStat, 'repeated'],
  memoryOomControl: [9, MemoryOomControl],
});
