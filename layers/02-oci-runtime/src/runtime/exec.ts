/** `exec`: runs the plan of another process in a running container (plan/exec-plan.ts). */
import { readBundle } from '../config/read-bundle.ts';
import type { Spec, SpecProcess } from '../config/spec.ts';
import { type Creator, kernelCreator } from '../plan/creator.ts';
import { execPlan, type JoinedContainer } from '../plan/exec-plan.ts';
import { abandon, type Creation, closeOurs, type KeeperOptions, runSteps } from '../plan/step.ts';
import { isRootless } from '../rootless/rootless.ts';
import type { ContainerRecord } from './state-store.ts';
import { type SubCgroup, subCgroups } from './sub-cgroups.ts';

export interface ExecOptions {
  id: string;
  /** The process; its seccomp filter and namespaces are those of the container. */
  process: SpecProcess;
  /** The program's path, where that is not what args[0] names. */
  executable?: string;
  /** The container's config.json; default: as it is in the bundle now. */
  spec?: Spec;
  stdio?: readonly [number, number, number];
  consoleSocket?: string;
  /** Our descriptors that become the process's 3, 4, ... */
  inheritFds?: readonly number[];
  keeper?: KeeperOptions;
  /** Where it is in the container's cgroup, in one that is there. */
  cgroup?: SubCgroup;
  /** Also in a paused container, to wait there until it is resumed; so does this call. */
  ignorePaused?: boolean;
}

export interface Executed {
  pid: number;
  startTime: number;
  keeperPid?: number;
  keeperStartTime?: number;
  consoleMaster?: number;
}

/** @throws {StrataError} of the step that failed; nothing of the process is left then */
export function execInContainer(
  record: ContainerRecord,
  options: ExecOptions,
  creator: Creator = kernelCreator,
): Executed {
  const containerSpec = options.spec ?? readBundle(record.bundle).spec;
  const { cgroup } = options;
  const joined: JoinedContainer =
    cgroup === undefined
      ? record
      : { ...record, cgroups: subCgroups(record.cgroups, cgroup), isSubCgroup: true };
  const creation: Creation = {
    creator,
    id: record.id,
    spec: { ...containerSpec, process: options.process },
    bundle: record.bundle,
    rootfsPath: record.rootfs,
    stdio: options.stdio ?? [0, 1, 2],
    keeper: options.keeper,
    inheritFds: options.inheritFds,
    consoleSocket: options.consoleSocket,
    container: record.init!,
    rootless: isRootless(),
    whenExecuted: [],
    newKeyring: !record.keepsKeyring,
  };
  try {
    runSteps(execPlan(joined, creation, options.executable), creation);
  } catch (error) {
    abandon(creation);
    throw error;
  }
  closeOurs(creation);
  creation.init!.detach();
  if (creation.keeper) creation.launcher!.detach();
  const { consoleMaster } = creation;
  const { process, keeper } = creation.identities!;
  return {
    ...process,
    ...(keeper && { keeperPid: keeper.pid, keeperStartTime: keeper.startTime }),
    ...(consoleMaster !== undefined && { consoleMaster }),
  };
}
