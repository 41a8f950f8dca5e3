/**
 * What a creating process does itself, beside what it has stubs do: the steps of a plan touch the
 * machine through nothing else.
 *
 *   Step ──▶ Creator ──┬── KernelCreator       does it
 *                      └── RehearsedCreator    writes it down (explain/)
 */
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import {
  Cgroup,
  type CgroupPaths,
  type CloneOptions,
  type IdMaps,
  type IdRange,
  localSyscalls,
  type MountInfo,
  mapByHelpers,
  type Operation,
  parseIdMap,
  parseMountinfo,
  readProcessStatus,
  type SpawnOptions,
  Stub,
  type Syscalls,
  userNamespaceWith,
} from '@strata/namespaces';
import type { Hook, Linux } from '../config/spec.ts';
import { type HookRun, runHookProcess } from '../hooks/hook-process.ts';
import { NAMESPACES } from '../namespaces/namespaces.ts';
import { moveNetDevices } from '../network/net-devices.ts';
import { identify, openProcess, type ProcessIdentity } from '../process/identity.ts';

/** A process that executes what it is told; see Stub. */
export interface Worker extends Disposable {
  readonly pid: number;
  readonly sys: Syscalls;
  readonly isExiting: boolean;
  readonly mailboxFd: number;
  clone(options: CloneOptions): Worker;
  startClone(options: CloneOptions, first?: readonly Operation[]): () => Worker;
  prepare(operations: readonly Operation[]): void;
  run(): void;
  start: Stub['start'];
  startSynced: Stub['startSynced'];
  beginExit(): void;
  exit(): unknown;
  detach(): void;
}

export type ContainerCgroup = Pick<
  Cgroup,
  'paths' | 'made' | 'set' | 'attach' | 'delegate' | 'delete'
>;

export interface Creator {
  /** Executes in this very thread. */
  readonly sys: Syscalls;
  spawn(options: SpawnOptions): Worker;
  /** @param wherePermitted leaves out hierarchies in which we may not make one */
  makeCgroup(path: string, wherePermitted?: boolean): ContainerCgroup;
  openCgroup(paths: CgroupPaths): ContainerCgroup;
  /** A descriptor, in the process of `sys`, of a user namespace with these maps. */
  userNamespaceWith(maps: IdMaps, sys: Syscalls): number;
  /** The map of the uids of a process's user namespace. */
  uidMapOf(pid: number): IdRange[];
  /** Whether a process may call setgroups(2), as far as its user namespace says. */
  maySetGroups(pid: number): boolean;
  /** Writes the id maps of a process by newuidmap(1) and newgidmap(1). */
  mapByHelpers(pid: number, maps: IdMaps): void;
  moveNetDevices(devices: NonNullable<Linux['netDevices']>, pid: number): () => void;
  runHook(hook: Hook, field: string, run: HookRun): void;
  identify(pid: number): ProcessIdentity;
  /** The pid that a process has in its own PID namespace. */
  pidInside(pid: number): number;
  /** A pidfd of exactly this process, or undefined where it has gone. */
  openProcess(identity: ProcessIdentity | undefined): number | undefined;
  /** The CLONE_NEW* bits of the namespaces in which a process is and we are not. */
  namespacesUnlikeOurs(pid: number): number;
  /** The file that a process executes. */
  executableOf(pid: number): { device: number; inode: number };
  mountsOf(pid: number): MountInfo[];
}

class KernelCreator implements Creator {
  get sys(): Syscalls {
    return localSyscalls();
  }

  spawn(options: SpawnOptions): Worker {
    return Stub.spawn(options);
  }

  makeCgroup(path: string, wherePermitted = false): ContainerCgroup {
    return wherePermitted ? Cgroup.createWherePermitted(path) : Cgroup.create(path);
  }

  openCgroup(paths: CgroupPaths): ContainerCgroup {
    return Cgroup.open(paths);
  }

  userNamespaceWith(maps: IdMaps, sys: Syscalls): number {
    return userNamespaceWith(maps, sys);
  }

  uidMapOf(pid: number): IdRange[] {
    return parseIdMap(readFileSync(`/proc/${pid}/uid_map`, 'utf8'));
  }

  maySetGroups(pid: number): boolean {
    return readFileSync(`/proc/${pid}/setgroups`, 'latin1').trim() !== 'deny';
  }

  mapByHelpers(pid: number, maps: IdMaps): void {
    mapByHelpers(pid, maps);
  }

  moveNetDevices(devices: NonNullable<Linux['netDevices']>, pid: number): () => void {
    return moveNetDevices(devices, pid);
  }

  runHook(hook: Hook, field: string, run: HookRun): void {
    runHookProcess(hook, field, run);
  }

  identify(pid: number): ProcessIdentity {
    return identify(pid);
  }

  pidInside(pid: number): number {
    return readProcessStatus(pid).pids.at(-1)!;
  }

  openProcess(identity: ProcessIdentity | undefined): number | undefined {
    return openProcess(identity);
  }

  namespacesUnlikeOurs(pid: number): number {
    let flags = 0;
    for (const { flag, file } of Object.values(NAMESPACES)) {
      const [theirs, ours] = [pid, 'self'].map((who) => readlinkSync(`/proc/${who}/ns/${file}`));
      if (theirs !== ours) flags += flag;
    }
    return flags;
  }

  executableOf(pid: number): { device: number; inode: number } {
    const { dev, ino } = statSync(`/proc/${pid}/exe`);
    return { device: dev, inode: ino };
  }

  mountsOf(pid: number): MountInfo[] {
    return parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
  }
}

export const kernelCreator: Creator = new KernelCreator();
