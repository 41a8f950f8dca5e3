/**
 * What the processes of a cgroup have used, as its controllers count it.
 *
 *             v1                                        v2
 *   cpu       cpuacct.usage (ns)                        cpu.stat: usage_usec
 *   memory    memory.usage_in_bytes, limit_in_bytes     memory.current, memory.max
 *   pids      pids.current, pids.max                    the same
 */
import { readCgroupFile } from './cgroup-file.ts';

export interface CgroupStats {
  /** Since the cgroup was made, of all processors together. */
  cpu?: { usageNs: number };
  memory?: {
    /** Bytes, page cache included. */
    usage: number;
    /** Usage without the cache that can be dropped at once: what kubelet evicts by. */
    workingSet: number;
    /** Bytes; not there without a limit. */
    limit?: number;
  };
  pids?: { current: number; limit?: number };
}

/** Directory of a controller, or undefined where the cgroup does not have it. */
type Directory = (controller: string) => string | undefined;

/** Counters of a v1 or v2 cgroup; what no controller counts is left out. */
export function readStats(version: 1 | 2, directory: Directory): CgroupStats {
  const files = version === 1 ? V1 : V2;
  const read = (controller: string, file: string): string | undefined => {
    const path = directory(controller);
    return path === undefined ? undefined : readCgroupFile(`${path}/${file}`);
  };
  const cpu = files.cpu(read);
  const usage = number(read('memory', files.memoryUsage));
  const pids = number(read('pids', 'pids.current'));
  const result: CgroupStats = {};
  if (cpu !== undefined) result.cpu = { usageNs: cpu };
  if (usage !== undefined) {
    const cache = keyed(read('memory', 'memory.stat'), files.inactiveFile) ?? 0;
    const workingSet = Math.max(0, usage - cache);
    result.memory = { usage, workingSet, ...limit(read('memory', files.memoryLimit)) };
  }
  if (pids !== undefined) result.pids = { current: pids, ...limit(read('pids', 'pids.max')) };
  return result;
}

type Read = (controller: string, file: string) => string | undefined;

const V1 = {
  cpu: (read: Read) => number(read('cpuacct', 'cpuacct.usage')),
  memoryUsage: 'memory.usage_in_bytes',
  memoryLimit: 'memory.limit_in_bytes',
  inactiveFile: 'total_inactive_file',
};

const V2 = {
  cpu: (read: Read) => {
    const microseconds = keyed(read('cpu', 'cpu.stat'), 'usage_usec');
    return microseconds === undefined ? undefined : microseconds * 1000;
  },
  memoryUsage: 'memory.current',
  memoryLimit: 'memory.max',
  inactiveFile: 'inactive_file',
};

const number = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text);

/** The value of `key` in lines of key and value. */
function keyed(text: string | undefined, key: string): number | undefined {
  const line = text?.split('\n').find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? undefined : Number(line.slice(key.length + 1));
}

/** v1 writes no limit as the largest number of whole pages: 2^63 minus one page. */
const UNLIMITED = 2 ** 62;

function limit(text: string | undefined): { limit?: number } {
  const value = Number(text);
  return text === undefined || Number.isNaN(value) || value > UNLIMITED ? {} : { limit: value };
}
