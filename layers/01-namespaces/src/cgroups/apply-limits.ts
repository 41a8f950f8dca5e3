/** Writes limits into a cgroup, in an order that the kernel accepts. */
import { closeSync, existsSync, writeSync } from 'node:fs';
import { EACCES, EBUSY, EINVAL, ENOENT, EROFS, errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { openCgroupFile, readCgroupFile } from './cgroup-file.ts';
import type { LimitPlan, PlacedWrite } from './controllers.ts';
import { UNIFIED_KEY } from './layout.ts';
import { type CgroupResources, invalidLimit, RESOURCES_FIELD } from './resources.ts';
import { attachDeviceFilter } from './v2/attach-device-filter.ts';

type Paths = Readonly<Record<string, string>>;

/**
 * Carries out what `planLimits` has planned.
 * @param resources what was planned from
 * @throws {StrataError} CGROUP_LIMIT naming the field that the kernel refused
 */
export function applyLimits(plan: LimitPlan, resources: CgroupResources, paths: Paths): void {
  checkUsage(plan, resources, paths);
  const files = new OpenFiles(paths);
  try {
    writeAll(inOrder(plan.writes, paths), files);
  } finally {
    files[Symbol.dispose]();
  }
  if (plan.hasDeviceProgram) limitDevices(paths[UNIFIED_KEY], resources.devices!);
}

/**
 * Some limits bound one another (quota, period and burst; the processors of a parent and of a
 * child), so that a value can be refused until another one is written: those are tried again after
 * the rest, as long as some succeed. The order among the rules for devices is their meaning.
 */
function writeAll(writes: readonly PlacedWrite[], files: OpenFiles): void {
  const refused: { write: PlacedWrite; error: unknown }[] = [];
  for (const write of writes) {
    try {
      perform(write, files);
    } catch (error) {
      if (errnoOf(error) !== EINVAL || write.file.startsWith('devices.')) throw error;
      refused.push({ write, error });
    }
  }
  if (refused.length === 0) return;
  if (refused.length === writes.length) throw refused[0]!.error;
  const again = refused.map(({ write }) => write);
  writeAll(again, files);
}

/** Open ones by their path: the rules for devices are many writes to two files. */
class OpenFiles implements Disposable {
  readonly #paths: Paths;
  readonly #descriptors = new Map<string, number>();

  constructor(paths: Paths) {
    this.#paths = paths;
  }

  /** @throws {StrataError} CGROUP_LIMIT where the container is not in the hierarchy */
  pathOf({ key, field }: PlacedWrite, file: string): string {
    const directory = this.#paths[key];
    if (directory !== undefined) return `${directory}/${file}`;
    const hint = 'it may not be made there by this user: give linux.cgroupsPath, or leave it out';
    throw new StrataError('CGROUP_LIMIT', `${field}: the container has no cgroup`, { field, hint });
  }

  write(path: string, value: string): void {
    let fd = this.#descriptors.get(path);
    if (fd === undefined) {
      fd = openCgroupFile(path);
      this.#descriptors.set(path, fd);
    }
    writeSync(fd, value);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#descriptors.values()) closeSync(fd);
    this.#descriptors.clear();
  }
}

function perform(write: PlacedWrite, files: OpenFiles): void {
  const { file, value, field, otherwise, isOptional } = write;
  const path = files.pathOf(write, file);
  try {
    files.write(path, value);
  } catch (cause) {
    const errno = errnoOf(cause) ?? 0;
    if (errno === ENOENT && otherwise) {
      perform({ key: write.key, field, ...otherwise }, files);
      return;
    }
    if (errno === ENOENT && isOptional && existsSync(files.pathOf(write, 'cgroup.procs'))) return;
    const message = `${field}: cannot write ${value} to ${path}: ${errnoName(errno)}`;
    const hint = HINTS[errno];
    throw new StrataError('CGROUP_LIMIT', message, { field, path, errno, cause, hint });
  }
}

const HINTS: Readonly<Record<number, string>> = {
  [ENOENT]: 'this kernel does not have this limit',
  [EBUSY]: 'more is in use already',
  [EROFS]: 'the cgroup file system is mounted read-only',
  [EACCES]: 'the cgroup is not delegated to this user',
};

/** On v1, memory+swap has to be raised before memory where the old sum is below the new limit. */
function inOrder(writes: readonly PlacedWrite[], paths: Paths): readonly PlacedWrite[] {
  const sum = writes.find(({ file }) => file === 'memory.memsw.limit_in_bytes');
  const limit = writes.find(({ file }) => file === 'memory.limit_in_bytes');
  if (!sum || !limit) return writes;
  const old = Number(readCgroupFile(`${paths[sum.key]}/${sum.file}`) ?? Number.POSITIVE_INFINITY);
  const isUnlimited = Number(limit.value) < 0;
  if (!isUnlimited && Number(limit.value) <= old) return writes;
  return [sum, ...writes.filter((write) => write !== sum)];
}

/** v2 would kill to get below a new limit; `checkBeforeUpdate` asks for a refusal, as v1 gives it. */
function checkUsage({ writes }: LimitPlan, { memory }: CgroupResources, paths: Paths): void {
  const { checkBeforeUpdate, limit = 0 } = memory ?? {};
  if (!checkBeforeUpdate || limit <= 0) return;
  const write = writes.find(({ file }) => file === 'memory.max');
  if (!write) return;
  const used = Number(readCgroupFile(`${paths[write.key]}/memory.current`) ?? 0);
  if (used <= limit) return;
  const message = `${write.field}: ${limit} is less than the ${used} bytes in use`;
  throw new StrataError('CGROUP_LIMIT', message, { field: write.field, errno: EBUSY });
}

function limitDevices(
  path: string | undefined,
  rules: NonNullable<CgroupResources['devices']>,
): void {
  if (path === undefined) throw invalidLimit('devices', 'the container has no cgroup of v2');
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
