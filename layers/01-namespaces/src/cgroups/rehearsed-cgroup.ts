/**
 * A control group that is only talked of: what would be made and written is told, and nothing done.
 *
 *   mkdirat(AT_FDCWD, "/sys/fs/cgroup/pids/strata/web", 0755) = 0
 *   write("/sys/fs/cgroup/pids/strata/web/pids.max", "100") = 3
 *
 * A file of the kernel takes its value in one write; opening and closing it is left out of the tale.
 *
 * Called by the labs' rehearsals and by layer 02's `explain`.
 */
import { AT_FDCWD } from '../syscalls/constants.ts';
import type { Arg } from '../syscalls/memory.ts';
import type { SyscallName } from '../syscalls/numbers.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import type { CgroupPaths } from './cgroup.ts';
import { pathInHierarchy, validateCgroupPath } from './cgroup-path.ts';
import { type LimitPlan, planLimits } from './controllers.ts';
import { delegateCgroup } from './delegate.ts';
import { type CgroupLayout, detectCgroups, UNIFIED_KEY, unifiedOf } from './layout.ts';
import type { CgroupResources } from './resources.ts';

export type TellCall = (name: SyscallName, args: readonly Arg[], result: number) => void;

export class RehearsedCgroup {
  readonly #paths: Record<string, string>;
  readonly #tell: TellCall;
  readonly #layout: CgroupLayout;

  private constructor(paths: CgroupPaths, tell: TellCall, layout: CgroupLayout) {
    this.#paths = { ...paths };
    this.#tell = tell;
    this.#layout = layout;
  }

  /** @throws {StrataError} INVALID_CGROUP_PATH */
  static create(path: string, tell: TellCall, layout = detectCgroups()): RehearsedCgroup {
    validateCgroupPath(path);
    const cgroup = new RehearsedCgroup({}, tell, layout);
    for (const hierarchy of layout.hierarchies) {
      cgroup.#make(hierarchy.key, hierarchy.mountPoint + pathInHierarchy(path, hierarchy));
    }
    return cgroup;
  }

  static open(paths: CgroupPaths, tell: TellCall): RehearsedCgroup {
    return new RehearsedCgroup(paths, tell, detectCgroups());
  }

  get paths(): CgroupPaths {
    return this.#paths;
  }

  get made(): readonly string[] {
    return Object.keys(this.#paths);
  }

  #make(key: string, directory: string): void {
    this.#paths[key] = directory;
    this.#tell('mkdirat', [AT_FDCWD, directory, 0o755], 0);
  }

  /** @throws {StrataError} CGROUP_LIMIT for a limit whose controller this machine does not have */
  set(resources: CgroupResources): void {
    const plan = planLimits(this.#layout, resources);
    this.#joinUnified(plan);
    for (const { key, file, value } of plan.writes) this.#write(key, file, String(value));
    if (!plan.hasDeviceProgram) return;
    const directory = this.#paths[UNIFIED_KEY] ?? '';
    this.#tell('bpf', ['BPF_PROG_ATTACH', directory, 'BPF_CGROUP_DEVICE'], 0);
  }

  /** On a hybrid machine, where a limit is in the v2 hierarchy. */
  #joinUnified({ writes, hasDeviceProgram }: LimitPlan): void {
    const unified = unifiedOf(this.#layout);
    if (!unified || this.#paths[unified.key] !== undefined) return;
    if (!hasDeviceProgram && !writes.some(({ key }) => key === unified.key)) return;
    const other = this.#layout.hierarchies.find(({ key }) => this.#paths[key] !== undefined);
    if (!other) return;
    const below = this.#paths[other.key]!.slice(other.mountPoint.length);
    this.#make(unified.key, unified.mountPoint + below);
  }

  attach(pid: number): void {
    for (const key of this.made) this.#write(key, 'cgroup.procs', String(pid));
  }

  delegate(uid: number, sys: Syscalls): void {
    delegateCgroup(this.#paths, uid, sys);
  }

  freeze(): void {
    this.#setFreezer(true);
  }

  thaw(): void {
    this.#setFreezer(false);
  }

  kill(): void {
    if (this.#paths[UNIFIED_KEY] !== undefined) this.#write(UNIFIED_KEY, 'cgroup.kill', '1');
    else this.#tell('kill', ['each of cgroup.procs, until there is none', 9], 0);
  }

  delete(): void {
    for (const directory of Object.values(this.#paths)) {
      this.#tell('unlinkat', [AT_FDCWD, directory, AT_REMOVEDIR], 0);
    }
  }

  #setFreezer(frozen: boolean): void {
    if (this.#paths.freezer !== undefined) {
      this.#write('freezer', 'freezer.state', frozen ? 'FROZEN' : 'THAWED');
    } else {
      this.#write(UNIFIED_KEY, 'cgroup.freeze', frozen ? '1' : '0');
    }
  }

  #write(key: string, file: string, value: string): void {
    this.#tell('write', [`${this.#paths[key]}/${file}`, value], value.length);
  }
}

const AT_REMOVEDIR = 0x200;
