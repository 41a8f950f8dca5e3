/**
 * Limits in the interface's form and in OCI's.
 *
 * The interface has no absence: 0 and '' stand for "not set". OCI has absence, and 0 means 0.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { LinuxResources } from '@strata/oci-runtime';
import type {
  LinuxContainerResources,
  LinuxContainerResourcesSchema,
} from '../generated/runtime/v1/resources_pb.ts';

/** `value` unless it stands for "not set". */
function set(value: bigint): number | undefined;
function set(value: string): string | undefined;
function set(value: bigint | string): number | string | undefined {
  if (typeof value === 'bigint') return value === 0n ? undefined : Number(value);
  return value === '' ? undefined : value;
}

/** An object without the properties that are undefined; undefined if none is left. */
function compact<T extends object>(
  object: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } | undefined {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as never);
}

/** The limits for the container's cgroup. `oom_score_adj` is of the process, and not among them. */
export function toOciResources(resources: LinuxContainerResources): LinuxResources {
  const hugepageLimits = resources.hugepageLimits.map(({ pageSize, limit }) => ({
    pageSize,
    limit: Number(limit),
  }));
  return (
    compact({
      cpu: compact({
        shares: set(resources.cpuShares),
        quota: set(resources.cpuQuota),
        period: set(resources.cpuPeriod),
        cpus: set(resources.cpusetCpus),
        mems: set(resources.cpusetMems),
      }),
      memory: compact({
        limit: set(resources.memoryLimitInBytes),
        swap: set(resources.memorySwapLimitInBytes),
      }),
      hugepageLimits: hugepageLimits.length === 0 ? undefined : hugepageLimits,
      unified: Object.keys(resources.unified).length === 0 ? undefined : resources.unified,
    }) ?? {}
  );
}

/** What a status call answers. */
export function fromOciResources(
  resources: LinuxResources,
  oomScoreAdj = 0,
): MessageInitShape<typeof LinuxContainerResourcesSchema> {
  const { cpu = {}, memory = {} } = resources;
  return {
    cpuShares: BigInt(cpu.shares ?? 0),
    cpuQuota: BigInt(cpu.quota ?? 0),
    cpuPeriod: BigInt(cpu.period ?? 0),
    cpusetCpus: cpu.cpus ?? '',
    cpusetMems: cpu.mems ?? '',
    memoryLimitInBytes: BigInt(memory.limit ?? 0),
    memorySwapLimitInBytes: BigInt(memory.swap ?? 0),
    oomScoreAdj: BigInt(oomScoreAdj),
    hugepageLimits: (resources.hugepageLimits ?? []).map(({ pageSize, limit }) => ({
      pageSize,
      limit: BigInt(limit),
    })),
    unified: resources.unified ?? {},
  };
}
