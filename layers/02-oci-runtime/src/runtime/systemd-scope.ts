/**
 * A container in a scope of systemd: `--systemd-cgroup`.
 *
 *   placeholder        scope                            container
 *   ───────────        ─────                            ─────────
 *   a stub of 16 kB ─▶ StartTransientUnit(PIDs: it)
 *                      its cgroup, delegated, limited ─▶ create: the init joins the cgroup
 *   ends                                                 ...
 *                      StopUnit, forgotten ◀──────────── delete
 *
 * systemd starts no scope without a process, and answers when it pleases, while a creation is
 * synchronous and over in 2 ms: so the scope comes first, with somebody in it who does nothing. When a
 * creator is killed half-way the placeholder dies with it, and systemd removes the empty scope.
 */
import {
  type Cgroup,
  defaultScopePlace,
  parseScopePlace,
  SIGKILL,
  StrataError,
  Stub,
  SystemdManager,
  SystemdScope,
} from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';

/** What a creation has to know of the scope that was made for it. */
export interface ContainerScope {
  unit: string;
  /** Made by systemd, with the container's limits; removed by it too. */
  cgroup: Cgroup;
}

/**
 * Starts the scope that the spec names (`linux.cgroupsPath`: SLICE:PREFIX:NAME) and has a container
 * created in it. Where that fails the scope is stopped.
 * @throws {StrataError} INVALID_CGROUP_PATH, CGROUP_IN_USE, SYSTEMD_*, CGROUP_LIMIT, or of `create`
 */
export async function createInScope<T>(
  container: { id: string; spec: Spec },
  create: (scope: ContainerScope) => T,
): Promise<T> {
  const { id, spec } = container;
  const path = spec.linux?.cgroupsPath;
  const place = path ? parseScopePlace(path) : defaultScopePlace(id);
  if (place.unit.endsWith('.slice')) throw noSlice(place.unit);
  await using systemd = await SystemdManager.connect();
  using placeholder = Stub.spawn({ title: `strata: scope of ${id}` });
  placeholder.sys.setParentDeathSignal(SIGKILL);
  const scope = await SystemdScope.start(systemd, {
    ...place,
    pids: [placeholder.pid],
    description: `strata container ${id}`,
    ...(spec.linux?.resources && { resources: spec.linux.resources }),
  });
  try {
    return create({ unit: scope.unit, cgroup: scope.cgroup });
  } catch (error) {
    await scope.stop();
    throw error;
  }
}

/** Stops the scope of a container that was deleted, if systemd has not removed it already. */
export async function endScope(unit: string): Promise<void> {
  await using systemd = await SystemdManager.connect();
  await systemd.stopUnit(unit);
}

function noSlice(unit: string): StrataError {
  const field = 'linux.cgroupsPath';
  const message = `${field}: ${unit} is a slice, which holds no processes`;
  return new StrataError('INVALID_CGROUP_PATH', message, { field });
}
