/** Which controller writes what, and into which hierarchy. */
import { StrataError } from '../errors/strata-error.ts';
import { type CgroupLayout, type Hierarchy, homeOf, unifiedOf } from './layout.ts';
import {
  type CgroupResources,
  type CgroupWrite,
  type Controller,
  invalidLimit,
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

/**
 * What a section of the limits becomes, by the version of the hierarchy that has its controller. A
 * list, for what a machine has of v1 comes first: on a hybrid one each controller lives in one of both.
 */
interface Row {
  readonly v1: readonly [controller: string, plan: Controller];
  readonly v2?: readonly [controller: string, plan: Controller];
}

const ROWS: readonly Row[] = [
  { v1: ['cpuset', cpuset1], v2: ['cpuset', cpuset2] },
  { v1: ['cpu', cpu1], v2: ['cpu', cpu2] },
  { v1: ['memory', memory1], v2: ['memory', memory2] },
  { v1: ['pids', pids], v2: ['pids', pids] },
  { v1: ['blkio', blkio], v2: ['io', io] },
  { v1: ['hugetlb', hugetlb1], v2: ['hugetlb', hugetlb2] },
  { v1: ['rdma', rdma], v2: ['rdma', rdma] },
  { v1: ['net_cls', netCls] },
  { v1: ['net_prio', netPrio] },
];

/** A write with the key of the hierarchy it belongs to. */
export interface PlacedWrite extends CgroupWrite {
  key: string;
}

/** What limits become on one machine. */
export interface LimitPlan {
  readonly writes: readonly PlacedWrite[];
  /** Whether the rules for devices become a program, attached in the v2 hierarchy. */
  readonly hasDeviceProgram: boolean;
}

/**
 * The writes that put limits into effect, with the key of the hierarchy each belongs to.
 * @throws {StrataError} CGROUP_LIMIT for a limit whose controller this machine does not have
 */
export function planLimits(layout: CgroupLayout, resources: CgroupResources): LimitPlan {
  const writes = ROWS.flatMap((row) => rowWrites(layout, row, resources));
  const rules = deviceWrites(layout, resources);
  const isProgram = rules === undefined && (resources.devices?.length ?? 0) > 0;
  return {
    writes: [...writes, ...(rules ?? []), ...unifiedWrites(layout, resources)],
    hasDeviceProgram: isProgram,
  };
}

function rowWrites(layout: CgroupLayout, row: Row, resources: CgroupResources): PlacedWrite[] {
  for (const version of [1, 2] as const) {
    const [controller, plan] = (version === 1 ? row.v1 : row.v2) ?? [];
    const home = controller === undefined ? undefined : homeOf(layout, controller);
    if (!plan || home?.version !== version) continue;
    return plan(resources).map((each) => ({ ...each, key: home.key }));
  }
  const [controller, plan] = (layout.mode === 'v2' && row.v2) || row.v1;
  const planned = plan(resources);
  if (planned.length > 0) throw missing(controller, planned[0]!.field);
  return [];
}

/** Undefined where v1 does not have them, so that they have to be a program of v2. */
function deviceWrites(layout: CgroupLayout, resources: CgroupResources): PlacedWrite[] | undefined {
  const home = homeOf(layout, 'devices');
  if (home?.version === 1) return devices(resources).map((each) => ({ ...each, key: home.key }));
  if (unifiedOf(layout)) return undefined;
  const planned = devices(resources);
  if (planned.length > 0) throw missing('devices', planned[0]!.field);
  return [];
}

function missing(controller: string, field: string, within?: Hierarchy): StrataError {
  const place = within ? ` at ${within.mountPoint}` : '';
  return new StrataError('CGROUP_LIMIT', `${field}: there is no ${controller} controller${place}`, {
    field,
    hint: within
      ? `its controllers are ${within.controllers.join(', ') || 'none'}`
      : `mount or enable the ${controller} controller, or leave the limit out`,
  });
}

/** Files of the core that limit something; the others are for whoever manages the cgroup. */
const CORE_FILES = new Set(['cgroup.max.depth', 'cgroup.max.descendants']);

/** linux.resources.unified: v2 files by their names. A value of several lines is as many writes. */
function unifiedWrites(layout: CgroupLayout, { unified = {} }: CgroupResources): PlacedWrite[] {
  const hierarchy = unifiedOf(layout);
  return Object.entries(unified).flatMap(([file, value]) => {
    const name = `unified[${JSON.stringify(file)}]`;
    if (!hierarchy) throw invalidLimit(name, 'this machine has cgroup v1');
    // A file name of the controllers, never a way to another place.
    const isCore = file.startsWith('cgroup.');
    if (isCore ? !CORE_FILES.has(file) : !/^[a-z]+(\.[a-z0-9_]+)+$/i.test(file)) {
      throw invalidLimit(name, 'not a file of a controller');
    }
    const controller = file.slice(0, file.indexOf('.'));
    if (!isCore && !hierarchy.controllers.includes(controller)) {
      throw missing(controller, `${RESOURCES_FIELD}.${name}`, hierarchy);
    }
    const lines = value.split('\n').filter((line) => line !== '');
    return lines.map((line) => ({
      key: hierarchy.key,
      file,
      value: line,
      field: `${RESOURCES_FIELD}.${name}`,
    }));
  });
}
