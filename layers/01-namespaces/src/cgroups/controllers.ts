/** Which controller writes what, and into which hierarchy. */
import { StrataError } from '../errors/strata-error.ts';
import type { CgroupLayout } from './layout.ts';
import {
  type CgroupResources,
  type CgroupWrite,
  type Controller,
  RESOURCES_FIELD,
} from './resources.ts';
import { blkio } from './v1/blkio.ts';
import { cpu as cpu1 } from './v1/cpu.ts';
import { cpuset as cpuset1 } from './v1/cpuset.ts';
import { devices } from './v1/devices.ts';
import { hugetlb as hugetlb1 } from './v1/hugetlb.ts';
import { memory as memory1 } from './v1/memory.ts';
import { netCls, netPrio } from './v1/network.ts';
import { pids } from './v1/pids.ts';
import { rdma } from './v1/rdma.ts';
import { cpu as cpu2 } from './v2/cpu.ts';
import { cpuset as cpuset2 } from './v2/cpuset.ts';
import { hugetlb as hugetlb2 } from './v2/hugetlb.ts';
import { io } from './v2/io.ts';
import { memory as memory2 } from './v2/memory.ts';

const V1: Readonly<Record<string, Controller>> = {
  cpuset: cpuset1,
  cpu: cpu1,
  memory: memory1,
  pids,
  blkio,
  devices,
  hugetlb: hugetlb1,
  net_cls: netCls,
  net_prio: netPrio,
  rdma,
};
const V2: Readonly<Record<string, Controller>> = {
  cpuset: cpuset2,
  cpu: cpu2,
  memory: memory2,
  pids,
  io,
  hugetlb: hugetlb2,
  rdma,
  // Not there on v2: asking for one is refused.
  net_cls: netCls,
  net_prio: netPrio,
};

/** A write with the key of the hierarchy it belongs to. */
export interface PlacedWrite extends CgroupWrite {
  key: string;
}

/**
 * The writes that put limits into effect, with the key of the hierarchy each belongs to.
 * @throws {StrataError} CGROUP_LIMIT for a limit whose controller this machine does not have
 */
export function controllerWrites(layout: CgroupLayout, resources: CgroupResources): PlacedWrite[] {
  const table = layout.mode === 'v2' ? V2 : V1;
  const writes = Object.entries(table).flatMap(([controller, plan]) => {
    const planned = plan(resources);
    if (planned.length === 0) return [];
    const hierarchy = layout.hierarchies.find(({ controllers }) =>
      controllers.includes(controller),
    );
    if (!hierarchy) throw missing(controller, planned[0]!.field);
    return planned.map((write) => ({ ...write, key: hierarchy.key }));
  });
  return [...writes, ...unifiedWrites(layout, resources)];
}

function missing(controller: string, field: string): StrataError {
  return new StrataError('CGROUP_LIMIT', `${field}: there is no ${controller} controller`, {
    field,
    hint: `mount or enable the ${controller} controller, or leave the limit out`,
  });
}

/** linux.resources.unified: v2 files by their names. */
function unifiedWrites(layout: CgroupLayout, { unified = {} }: CgroupResources): PlacedWrite[] {
  return Object.entries(unified).map(([file, value]) => {
    const field = `${RESOURCES_FIELD}.unified[${JSON.stringify(file)}]`;
    if (layout.mode !== 'v2') {
      throw new StrataError('CGROUP_LIMIT', `${field}: this machine has cgroup v1`, { field });
    }
    // A file name of the controllers, never a way to another place.
    if (!/^[a-z]+(\.[a-z0-9_]+)+$/i.test(file) || file.startsWith('cgroup.')) {
      throw new StrataError('CGROUP_LIMIT', `${field}: not a file of a controller`, { field });
    }
    return { key: '', file, value, field };
  });
}
