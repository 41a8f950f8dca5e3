/**
 * `update`: other limits for a container that is there.
 *
 *   limits of before ─┐
 *                     ├─ merged ──▶ the container's record
 *   change ───────────┘     └── what of it the change touches ──▶ cgroup, systemd
 *
 * Only what is touched is written: what others have set since (a device plugin, an operator) stays.
 */
import { Cgroup, SystemdManager, SystemdScope } from '@strata/namespaces';
import { readBundle } from '../config/read-bundle.ts';
import type { LinuxResources } from '../config/spec.ts';
import { limitsToWrite, mergeLimits } from './merge-limits.ts';
import { changeSchemata, type RdtSchemata } from './rdt-schemata.ts';
import { type ContainerRecord, withoutDevices } from './state-store.ts';

/**
 * Changes the limits in the kernel; where one is refused, all are what they were.
 * @returns the limits of now, for the record
 * @throws {StrataError} CGROUP_LIMIT naming the field, INTEL_RDT, SYSTEMD_*
 */
export async function updateContainer(
  record: ContainerRecord,
  wanted: LinuxResources,
  schemata: RdtSchemata,
): Promise<LinuxResources> {
  if (schemata.l3CacheSchema || schemata.memBwSchema) {
    const { closID } = readBundle(record.bundle).spec.linux?.intelRdt ?? {};
    changeSchemata(closID ?? record.id, schemata);
  }
  const before = record.resources ?? {};
  const change = withoutDevices(unlimitedSwap(wanted));
  const merged = mergeLimits(before, change);
  const written = limitsToWrite(merged, change);
  if (record.scope === undefined) Cgroup.open(record.cgroups).change(written);
  else await updateScope(record.scope, { written, before });
  return merged;
}

/** systemd would write its own values again at the next reload, so it has to know the old ones, too. */
async function updateScope(
  unit: string,
  { written, before }: { written: LinuxResources; before: LinuxResources },
): Promise<void> {
  await using systemd = await SystemdManager.connect();
  const scope = await SystemdScope.open(systemd, unit);
  await scope.change(written, before);
}

/** Without a limit of memory there is none of memory and swap together. */
function unlimitedSwap(change: LinuxResources): LinuxResources {
  const { memory } = change;
  if (memory?.limit !== -1 || memory.swap !== undefined) return change;
  return { ...change, memory: { ...memory, swap: -1 } };
}
