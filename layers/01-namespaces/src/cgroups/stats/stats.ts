/**
 * What the processes of a cgroup, and of those below it, have used, as its controllers count it. Each
 * controller says in its own file which files it reads. What no controller counts is left out.
 */
import type { ControllerHome } from '../layout.ts';
import { Counters, known } from './counters.ts';
import { type CpuStats, cpuStats } from './cpu.ts';
import { type HugePageStats, hugePageStats } from './hugetlb.ts';
import { type IoStats, ioStats } from './io.ts';
import { type MemoryStats, memoryStats } from './memory.ts';

export interface PidsStats {
  /** Tasks, threads included. */
  current: number;
  limit?: number;
  /** The most there ever were. Since Linux 6.5. */
  peak?: number;
}

export interface RdmaStats {
  device: string;
  hcaHandles: number;
  hcaObjects: number;
}

export interface CgroupStats {
  cpu?: CpuStats;
  memory?: MemoryStats;
  pids?: PidsStats;
  io?: IoStats;
  hugePages?: HugePageStats[];
  rdma?: RdmaStats[];
}

/**
 * @param homeOf a controller's directory, or undefined where the cgroup does not have it
 * @param unified the cgroup in the v2 hierarchy, which knows the pressure
 * @throws {StrataError} CGROUP_READ, INVALID_CGROUP_FILE
 */
export function readStats(
  homeOf: (controller: string) => ControllerHome | undefined,
  unified: string | undefined,
): CgroupStats {
  const counters = (controller: string): Counters | undefined => {
    const home = homeOf(controller);
    return home && new Counters(home);
  };
  return known<CgroupStats>({
    cpu: cpuStats(counters('cpu'), counters('cpuacct'), unified),
    memory: memoryStats(counters('memory'), unified),
    pids: pidsStats(counters('pids')),
    io: ioStats(counters('blkio') ?? counters('io'), unified),
    hugePages: hugePageStats(counters('hugetlb')),
    rdma: rdmaStats(counters('rdma')),
  });
}

function pidsStats(pids: Counters | undefined): PidsStats | undefined {
  const current = pids?.count('pids.current');
  if (pids === undefined || current === undefined) return undefined;
  return known<PidsStats>({
    current,
    limit: pids.limit('pids.max'),
    peak: pids.count('pids.peak'),
  });
}

/** `mlx5_0 hca_handle=2 hca_object=2000` in both versions. */
function rdmaStats(rdma: Counters | undefined): RdmaStats[] | undefined {
  if (!rdma) return undefined;
  return [...rdma.nested('rdma.current')].map(([device, values]) => ({
    device,
    hcaHandles: values.get('hca_handle') ?? 0,
    hcaObjects: values.get('hca_object') ?? 0,
  }));
}
