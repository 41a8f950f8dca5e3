/** Writes limits into a cgroup, in an order that the kernel accepts. */
import { closeSync, writeSync } from 'node:fs';
import { EBUSY, ENOENT, errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { openCgroupFile, readCgroupFile } from './cgroup-file.ts';
import { controllerWrites, type PlacedWrite } from './controllers.ts';
import type { CgroupLayout } from './layout.ts';
import { type CgroupResources, RESOURCES_FIELD } from './resources.ts';
import { attachDeviceFilter } from './v2/device-filter.ts';

type Paths = Readonly<Record<string, string>>;

/** @throws {StrataError} CGROUP_LIMIT naming the field: a missing controller, a refused value */
export function applyLimits(resources: CgroupResources, layout: CgroupLayout, paths: Paths): void {
  const writes = controllerWrites(layout, resources);
  const unified = layout.mode === 'v2' ? paths[''] : undefined;
  if (unified !== undefined) checkUsage(resources, unified);
  const files = new Map<string, number>();
  try {
    for (const write of inOrder(writes, paths)) perform(write, paths, files);
  } finally {
    for (const fd of files.values()) closeSync(fd);
  }
  if (unified !== undefined && resources.devices?.length) limitDevices(unified, resources.devices);
}

/** @param files open ones by their path: the rules for devices are many writes to two files */
function perform(write: PlacedWrite, paths: Paths, files: Map<string, number>): void {
  const { key, file, value, field } = write;
  const directory = paths[key];
  if (directory === undefined) {
    throw new StrataError('CGROUP_LIMIT', `${field}: the container has no cgroup`, { field });
  }
  const path = `${directory}/${file}`;
  try {
    let fd = files.get(path);
    if (fd === undefined) {
      fd = openCgroupFile(path);
      files.set(path, fd);
    }
    writeSync(fd, value);
  } catch (cause) {
    const errno = errnoOf(cause) ?? 0;
    const message = `${field}: cannot write ${value} to ${path}: ${errnoName(errno)}`;
    throw new StrataError('CGROUP_LIMIT', message, {
      field,
      path,
      errno,
      cause,
      hint: HINTS[errno],
    });
  }
}

const HINTS: Readonly<Record<number, string>> = {
  [ENOENT]: 'this kernel does not have this limit',
  [EBUSY]: 'more is in use already',
};

/** On v1, memory+swap has to be raised before memory where the old sum is below the new limit. */
function inOrder(writes: PlacedWrite[], paths: Paths): PlacedWrite[] {
  const sum = writes.find(({ file }) => file === 'memory.memsw.limit_in_bytes');
  const limit = writes.find(({ file }) => file === 'memory.limit_in_bytes');
  if (!sum || !limit) return writes;
  const old = Number(readCgroupFile(`${paths[sum.key]}/${sum.file}`) ?? Number.POSITIVE_INFINITY);
  const isUnlimited = Number(limit.value) < 0;
  if (!isUnlimited && Number(limit.value) <= old) return writes;
  return [sum, ...writes.filter((write) => write !== sum)];
}

/** v2 would kill to get below a new limit; `checkBeforeUpdate` asks for a refusal, as v1 gives it. */
function checkUsage({ memory }: CgroupResources, directory: string): void {
  const { checkBeforeUpdate, limit = 0 } = memory ?? {};
  if (!checkBeforeUpdate || limit <= 0) return;
  const used = Number(readCgroupFile(`${directory}/memory.current`) ?? 0);
  if (used <= limit) return;
  const field = `${RESOURCES_FIELD}.memory.limit`;
  const message = `${field}: ${limit} is less than the ${used} bytes in use`;
  throw new StrataError('CGROUP_LIMIT', message, { field, errno: EBUSY });
}

function limitDevices(path: string, rules: NonNullable<CgroupResources['devices']>): void {
  try {
    attachDeviceFilter(path, rules);
  } catch (cause) {
    const field = `${RESOURCES_FIELD}.devices`;
    const message = `${field}: ${cause instanceof Error ? cause.message : String(cause)}`;
    const hint = 'rules for devices need CAP_BPF and CAP_NET_ADMIN on cgroup v2';
    throw new StrataError('CGROUP_LIMIT', message, {
      field,
      path,
      errno: errnoOf(cause),
      hint,
      cause,
    });
  }
}
