/**
 * What a container has used, in the JSON that runc's `events` writes and its callers parse
 * (containerd's shim among them). Members that are 0 are left out where runc leaves them out.
 *
 *              v1                                         v2
 *   cpu        cpuacct.*, cpu.stat                        cpu.stat, cpu.pressure
 *   cpuset     cpuset.*                                   -
 *   memory     memory.*, .memsw, .kmem, .kmem.tcp         memory.current, .swap.current, .stat, .pressure
 *   blkio      the first there is of bfq, CFQ, throttle   io.stat, io.pressure, by the names of v1
 *
 * @see https://github.com/opencontainers/runc/blob/main/types/events.go
 */
import { readdirSync } from 'node:fs';
import { parseNumberList, parsePressure } from '@strata/namespaces';
import { blkioOfV1, blkioOfV2 } from './runc-stats-blkio.ts';
import { StatFiles } from './stat-files.ts';

type Cgroups = Readonly<Record<string, string>>;
type Numbers = Record<string, bigint | undefined>;

/** As JSON text: the kernel's numbers are exact. */
export function runcStats(cgroups: Cgroups): string {
  const v1 = (controller: string): StatFiles | undefined => StatFiles.ofV1(cgroups, controller);
  const isV1 = v1('memory') ?? v1('cpu') ?? v1('pids');
  const v2 = StatFiles.ofV2(cgroups);
  const stats = {
    cpu: isV1 ? cpuOfV1(v1('cpuacct'), v1('cpu')) : cpuOfV2(v2),
    cpuset: cpuset(v1('cpuset')),
    memory: isV1 ? memoryOfV1(v1('memory')) : memoryOfV2(v2),
    pids: pids(v1('pids') ?? v2),
    blkio: isV1 ? blkioOfV1(v1('blkio')) : { ...blkioOfV2(v2), ...psi(v2, 'io') },
    hugetlb: hugetlb(v1('hugetlb') ?? v2),
    intel_rdt: {},
    network_interfaces: null,
  };
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
  return JSON.stringify(stats, (_, value) =>
    typeof value === 'bigint' ? rawJSON(String(value)) : value,
  );
}

/** Without what is 0 or not known, but for those of `always`. */
function counted(numbers: Numbers, always: readonly string[] = []): Numbers {
  const entries = Object.entries(numbers).map(([name, value]) => [name, value ?? 0n] as const);
  return Object.fromEntries(
    entries.filter(([name, value]) => value !== 0n || always.includes(name)),
  );
}

const NS_PER_TICK = 10_000_000n;
const NS_PER_US = 1000n;

function cpuOfV1(accounting: StatFiles | undefined, cpu: StatFiles | undefined): object {
  const ticks = accounting?.keyed('cpuacct.stat');
  const stat = cpu?.keyed('cpu.stat');
  // "cpu user system", after a line that says so.
  const modes =
    accounting
      ?.lines('cpuacct.usage_all')
      .slice(1)
      .map((line) => line.split(' ')) ?? [];
  const each = accounting?.text('cpuacct.usage_percpu')?.trim().split(/\s+/) ?? [];
  return {
    usage: {
      ...counted({ total: accounting?.count('cpuacct.usage') }),
      ...(each.length > 0 && { percpu: each.map(BigInt) }),
      ...(modes.length > 0 && {
        percpu_kernel: modes.map(([, , system]) => BigInt(system!)),
        percpu_user: modes.map(([, user]) => BigInt(user!)),
      }),
      kernel: (ticks?.get('system') ?? 0n) * NS_PER_TICK,
      user: (ticks?.get('user') ?? 0n) * NS_PER_TICK,
    },
    throttling: throttling(stat, stat?.get('throttled_time')),
  };
}

function cpuOfV2(files: StatFiles | undefined): object {
  const stat = files?.keyed('cpu.stat');
  const nanoseconds = (key: string): bigint => (stat?.get(key) ?? 0n) * NS_PER_US;
  return {
    usage: {
      ...counted({ total: nanoseconds('usage_usec') }),
      kernel: nanoseconds('system_usec'),
      user: nanoseconds('user_usec'),
    },
    throttling: throttling(stat, nanoseconds('throttled_usec')),
    ...psi(files, 'cpu'),
  };
}

const throttling = (stat: Map<string, bigint> | undefined, throttledTime?: bigint): Numbers =>
  counted({
    periods: stat?.get('nr_periods'),
    throttledPeriods: stat?.get('nr_throttled'),
    throttledTime,
  });

function cpuset(files: StatFiles | undefined): object {
  const flag = (name: string): bigint => files?.count(`cpuset.${name}`) ?? 0n;
  return {
    ...numbers('cpus', files),
    cpu_exclusive: flag('cpu_exclusive'),
    ...numbers('mems', files),
    mem_hardwall: flag('mem_hardwall'),
    mem_exclusive: flag('mem_exclusive'),
    memory_migrate: flag('memory_migrate'),
    memory_spread_page: flag('memory_spread_page'),
    memory_spread_slab: flag('memory_spread_slab'),
    memory_pressure: flag('memory_pressure'),
    sched_load_balance: flag('sched_load_balance'),
    sched_relax_domain_level: flag('sched_relax_domain_level'),
  };
}

function numbers(name: 'cpus' | 'mems', files: StatFiles | undefined): object {
  const list = parseNumberList(files?.text(`cpuset.${name}`)?.trim() ?? '');
  return list.length > 0 ? { [name]: list } : {};
}

const entry = (limit?: bigint, usage?: bigint, max?: bigint, failcnt?: bigint): Numbers =>
  counted({ limit, usage, max, failcnt }, ['limit', 'failcnt']);

function memoryOfV1(files: StatFiles | undefined): object {
  const stat = files?.keyed('memory.stat') ?? new Map<string, bigint>();
  const counters = (name: string): Numbers => {
    const count = (file: string): bigint | undefined => files?.count(`memory.${name}${file}`);
    // Without the file for usage the kernel does not have the counter at all.
    if (count('usage_in_bytes') === undefined) return entry();
    const [limit, usage] = [count('limit_in_bytes'), count('usage_in_bytes')];
    return entry(limit, usage, count('max_usage_in_bytes'), count('failcnt'));
  };
  return {
    ...counted({ cache: stat.get('cache') }),
    usage: counters(''),
    swap: counters('memsw.'),
    kernel: counters('kmem.'),
    kernelTCP: counters('kmem.tcp.'),
    ...raw(stat),
  };
}

function memoryOfV2(files: StatFiles | undefined): object {
  const stat = files?.keyed('memory.stat') ?? new Map<string, bigint>();
  const [usage, limit] = [files?.count('memory.current') ?? 0n, files?.count('memory.max') ?? 0n];
  const [swap, swapLimit] = [files?.count('memory.swap.current'), files?.count('memory.swap.max')];
  const isUnlimited = swapLimit !== undefined && swapLimit >= 2n ** 64n - 1n;
  return {
    ...counted({ cache: stat.get('file') }),
    usage: entry(limit, usage, files?.count('memory.peak')),
    // With v1's meaning: memory and swap together.
    swap: entry(isUnlimited ? swapLimit : (swapLimit ?? 0n) + limit, usage + (swap ?? 0n)),
    kernel: entry(),
    kernelTCP: entry(),
    ...raw(stat),
    ...psi(files, 'memory'),
  };
}

function raw(stat: ReadonlyMap<string, bigint>): object {
  if (stat.size === 0) return {};
  return { raw: Object.fromEntries([...stat].sort(([a], [b]) => (a < b ? -1 : 1))) };
}

/** No limit is 0. */
function pids(files: StatFiles | undefined): Numbers {
  const limit = files?.text('pids.max')?.trim() === 'max' ? undefined : files?.count('pids.max');
  return counted({ current: files?.count('pids.current'), limit });
}

/** By the size of the page; what is reserved, where the kernel counts that. */
function hugetlb(files: StatFiles | undefined): object {
  if (!files) return {};
  const stats = pageSizes(files.directory).map((size) => {
    const page = `hugetlb.${size}`;
    const reserved = `${page}.rsvd`;
    const usage = files.count(`${reserved}.current`) ?? files.count(`${page}.current`);
    if (usage !== undefined) {
      return [size, hugetlbEntry(usage, undefined, files.keyed(`${page}.events`).get('max'))];
    }
    const name = files.count(`${reserved}.usage_in_bytes`) === undefined ? page : reserved;
    const count = (file: string): bigint | undefined => files.count(`${name}.${file}`);
    const [max, failcnt] = [count('max_usage_in_bytes'), count('failcnt')];
    return [size, hugetlbEntry(count('usage_in_bytes'), max, failcnt)];
  });
  return Object.fromEntries(stats);
}

const hugetlbEntry = (usage?: bigint, max?: bigint, failcnt?: bigint): Numbers =>
  counted({ usage, max, failcnt }, ['failcnt']);

function pageSizes(directory: string): string[] {
  try {
    const sizes = readdirSync(directory).map((file) => /^hugetlb\.(\d+[KMG]B)\./.exec(file)?.[1]);
    return [...new Set(sizes.filter((size) => size !== undefined))].sort();
  } catch {
    // It has just gone.
    return [];
  }
}

function psi(files: StatFiles | undefined, resource: 'cpu' | 'memory' | 'io'): object {
  const text = files?.text(`${resource}.pressure`);
  const pressure = text === undefined ? undefined : parsePressure(text);
  if (!pressure) return {};
  const none = { avg10: 0, avg60: 0, avg300: 0, totalUs: 0 };
  const line = ({ avg10, avg60, avg300, totalUs }: typeof none) => ({
    ...{ avg10, avg60, avg300 },
    total: totalUs,
  });
  return { psi: { some: line(pressure.some), full: line(pressure.full ?? none) } };
}
