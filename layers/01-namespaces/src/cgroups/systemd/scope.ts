/**
 * A cgroup that systemd knows of: a transient scope (or slice), delegated to us.
 *
 *   await using systemd = await SystemdManager.connect();
 *   const scope = await SystemdScope.start(systemd, {
 *     ...parseScopePlace('machine.slice:strata:web'), pids: [pid], resources });
 *   scope.cgroup.freeze();
 *   await scope.set({ memory: { limit: 64 << 20 } });
 *   await scope.stop();
 *
 *   systemd   makes the cgroup, moves the first processes into it, removes it when the last one ends
 *   we        everything below it, and in it what systemd has no property for
 *
 * On cgroup v2 only: with v1 hierarchies systemd manages a part of them, and newer ones none at all.
 *
 * @see systemd.scope(5), https://systemd.io/CGROUP_DELEGATION
 */
import { StrataError } from '../../errors/strata-error.ts';
import { Cgroup } from '../cgroup.ts';
import { type CgroupLayout, detectCgroups } from '../layout.ts';
import type { CgroupResources } from '../resources.ts';
import type { SystemdManager } from './manager.ts';
import type { ScopePlace } from './unit-name.ts';
import { limitProperties, type UnitProperty } from './unit-properties.ts';

export interface ScopeOptions extends ScopePlace {
  /** Who is in it from the start: systemd takes no scope without a process. */
  pids: readonly number[];
  description?: string;
  resources?: CgroupResources;
}

export class SystemdScope {
  readonly unit: string;
  readonly cgroup: Cgroup;
  readonly #systemd: SystemdManager;

  private constructor(systemd: SystemdManager, unit: string, cgroup: Cgroup) {
    this.#systemd = systemd;
    this.unit = unit;
    this.cgroup = cgroup;
  }

  /**
   * Starts the unit and applies the limits. Where a limit is refused the unit is stopped again.
   * @throws {StrataError} ENOTSUP without a pure cgroup v2; SYSTEMD_*, CGROUP_LIMIT
   */
  static async start(systemd: SystemdManager, options: ScopeOptions): Promise<SystemdScope> {
    const layout = requireV2();
    const { unit, resources } = options;
    await systemd.startTransientUnit(unit, scopeProperties(options));
    try {
      const scope = new SystemdScope(systemd, unit, await cgroupOf(systemd, unit, layout));
      if (resources) scope.cgroup.set(resources);
      return scope;
    } catch (error) {
      await systemd.stopUnit(unit);
      throw error;
    }
  }

  /** One that runs. @throws {StrataError} ENOTSUP, SYSTEMD_CALL */
  static async open(systemd: SystemdManager, unit: string): Promise<SystemdScope> {
    return new SystemdScope(systemd, unit, await cgroupOf(systemd, unit, requireV2()));
  }

  /**
   * Changes limits: those that systemd knows by systemd, then all in the cgroup.
   * @throws {StrataError} SYSTEMD_CALL, SYSTEMD_TIMEOUT, CGROUP_LIMIT
   */
  async set(resources: CgroupResources): Promise<void> {
    await this.#systemd.setUnitProperties(this.unit, limitProperties(resources));
    this.cgroup.set(resources);
  }

  /**
   * As `set`, for a scope in use: where a limit is refused, all are what they were before.
   * @param before the limits of now; what it does not name had none
   * @throws {StrataError} as `set`
   */
  async change(resources: CgroupResources, before: CgroupResources): Promise<void> {
    await this.#systemd.setUnitProperties(this.unit, limitProperties(resources));
    try {
      this.cgroup.change(resources);
    } catch (error) {
      const old = limitProperties(limitsBefore(resources, before));
      await this.#systemd.setUnitProperties(this.unit, old);
      throw error;
    }
  }

  /**
   * Kills what is in it, frozen or not, and has systemd remove and forget it.
   * @throws {StrataError} SYSTEMD_CALL, SYSTEMD_JOB, SYSTEMD_TIMEOUT
   */
  async stop(): Promise<void> {
    // systemd would send SIGTERM and wait for TimeoutStopUSec, a minute and a half.
    this.cgroup.kill();
    await this.#systemd.stopUnit(this.unit);
  }
}

/** The limits that a change replaces; where there was none, what stands for none. */
function limitsBefore(change: CgroupResources, before: CgroupResources): CgroupResources {
  const old = <Section extends object>(
    section: Section | undefined,
    was: Section | undefined,
    none: Partial<Section>,
  ): Section =>
    Object.fromEntries(
      Object.keys(section ?? {}).map((key) => [
        key,
        was?.[key as keyof Section] ?? none[key as keyof Section],
      ]),
    ) as Section;
  return {
    memory: old(change.memory, before.memory, { limit: -1, swap: -1, reservation: 0 }),
    cpu: old(change.cpu, before.cpu, { quota: -1, period: 100_000, shares: 1024, idle: 0 }),
    pids: old(change.pids, before.pids, { limit: -1 }),
    blockIO: old(change.blockIO, before.blockIO, { weight: 100 }),
  };
}

function scopeProperties(options: ScopeOptions): UnitProperty[] {
  const { unit, slice, pids, description = `strata container ${unit}`, resources = {} } = options;
  const isSlice = unit.endsWith('.slice');
  return [
    ['Description', 's', description],
    // A slice's name says where it is; it takes no processes and is delegated by nature.
    ...(isSlice || slice === undefined ? [] : [['Slice', 's', slice] as const]),
    ...(isSlice ? [] : [['Delegate', 'b', true] as const, ['PIDs', 'au', [...pids]] as const]),
    ...ACCOUNTING.map((name) => [name, 'b', true] as const),
    // Not stopped with everything else at shutdown before its keeper can look after it.
    ['DefaultDependencies', 'b', false],
    ...limitProperties(resources),
  ];
}

const ACCOUNTING = ['CPUAccounting', 'MemoryAccounting', 'IOAccounting', 'TasksAccounting'];

function requireV2(): CgroupLayout {
  const layout = detectCgroups();
  if (layout.mode === 'v2') return layout;
  const message = `the systemd driver needs cgroup v2 alone: this machine has ${layout.mode}`;
  throw new StrataError('ENOTSUP', message, {
    hint: 'use the driver that writes the files itself',
  });
}

async function cgroupOf(
  systemd: SystemdManager,
  unit: string,
  layout: CgroupLayout,
): Promise<Cgroup> {
  const kind = unit.endsWith('.slice') ? 'Slice' : 'Scope';
  const path = String(await systemd.unitProperty(unit, kind, 'ControlGroup'));
  const cgroup = path === '' ? undefined : Cgroup.openIfThere(path, layout);
  if (cgroup) return cgroup;
  throw new StrataError('SYSTEMD_CALL', `systemd: ${unit} has no cgroup: it has ended already`);
}
