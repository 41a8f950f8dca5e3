/**
 * `create`: runs the plan, arms the init with its final program and the keeper with its wait, and
 * writes the state. Undone in reverse where a step fails. A creator that is killed takes its stubs with
 * it (parent-death signal); the record, written before anything that outlives it, lets `delete` find
 * the rest.
 */
import { Cgroup, StrataError } from '@strata/namespaces';
import { readBundle } from '../config/read-bundle.ts';
import type { Spec } from '../config/spec.ts';
import { specText } from '../config/validate.ts';
import { runHooksWarning, type Warn } from '../hooks/hooks.ts';
import { hasNew, namespacesOf } from '../namespaces/namespaces.ts';
import { createPlan } from '../plan/create-plan.ts';
import { kernelCreator, type Worker } from '../plan/creator.ts';
import { abandon, type Creation, type KeeperOptions, runSteps } from '../plan/step.ts';
import { hasHostMounts, mountBelow, removeHostMounts } from '../rootfs/host-mounts.ts';
import { cgroupPath } from '../rootless/container-cgroup.ts';
import { isRootless } from '../rootless/rootless.ts';
import { deletedMeanwhile, type Reservation } from './reservation.ts';
import { type ContainerRecord, type StateStore, withoutDevices } from './state-store.ts';
import type { ContainerScope } from './systemd-scope.ts';

export interface CreateOptions {
  id: string;
  /** Directory with config.json; relative rootfs and bind sources start here. */
  bundle: string;
  /** A validated spec; default: the bundle's config.json. */
  spec?: Spec;
  /** Our descriptors that become the process's 0, 1 and 2; default: our own. */
  stdio?: readonly [number, number, number];
  /** Our descriptors that become the process's 3, 4, ... */
  inheritFds?: readonly number[];
  /** Unix socket that gets the PTY's master (process.terminal). */
  consoleSocket?: string;
  /** Makes the init the child of a keeper, which outlives us. */
  keeper?: KeeperOptions;
  /** The scope of systemd to put it into; see systemd-scope.ts. */
  scope?: ContainerScope;
  pidFile?: string;
  /** Join a new session keyring; default true. */
  newKeyring?: boolean;
  /** Not as the machine's root; default: found out. */
  rootless?: boolean | undefined;
  /** Put the root over the old one instead of swapping them: see rootfs/move-root.ts. */
  noPivot?: boolean;
  /** Makes what the mounts shall find in the directory of the container's state. */
  prepare?: (directory: string) => void;
  /** The caller will start it at once: `Created.init` is left for that. */
  hold?: boolean;
  /** For tests: called after each step. */
  afterStep?: (name: string) => void;
}

export interface Created {
  record: ContainerRecord;
  /** Our descriptor of the PTY's master, where nobody else was given it; the caller closes it. */
  consoleMaster?: number;
  /** With `hold`: the armed init; the caller starts it, or not, and detaches. */
  init?: Worker;
}

/** @param warn hears of poststop hooks that fail where the creation has failed */
export function createContainer(store: StateStore, options: CreateOptions, warn: Warn): Created {
  const { id, keeper, consoleSocket, newKeyring = true, rootless = isRootless() } = options;
  const { spec, bundle, rootfs } = readBundle(options.bundle, options.spec);
  const described = { id, spec, bundle, rootfsPath: rootfs, rootless, newKeyring };
  const record = newRecord(described, options.scope);
  let reservation: Reservation | undefined;
  const creation: Creation = {
    ...{ creator: kernelCreator, id, spec, bundle, keeper, consoleSocket, newKeyring, rootless },
    rootfsPath: rootfs,
    stdio: options.stdio ?? [0, 1, 2],
    inheritFds: options.inheritFds,
    noPivot: options.noPivot,
    scopeCgroup: options.scope?.cgroup,
    record: {
      reserve() {
        reservation = store.reserve(record);
        options.prepare?.(store.directory(id));
      },
      stage: () => reservation!.stage(completeRecord(record, creation)),
      publish: () => reservation!.publish(),
    },
    whenExecuted: [],
  };
  try {
    runSteps(createPlan(creation), creation, options.afterStep);
  } catch (error) {
    const isDeleted = reservation?.isDeleted;
    undo(creation);
    removeHostMounts(record);
    reservation?.remove();
    if (creation.hooksHaveRun) runPoststopHooks(record, warn);
    throw isDeleted ? deletedMeanwhile(id, error) : error;
  } finally {
    reservation?.[Symbol.dispose]();
  }
  const { init, launcher, consoleMaster } = creation;
  if (!options.hold) init!.detach();
  if (keeper) launcher!.detach();
  return {
    record,
    ...(consoleMaster !== undefined && { consoleMaster }),
    ...(options.hold && { init: init! }),
  };
}

/** What is known of a container before anything of it is made. */
export function newRecord(
  creation: Pick<Creation, 'id' | 'spec' | 'bundle' | 'rootfsPath' | 'rootless' | 'newKeyring'>,
  scope: ContainerScope | undefined,
): ContainerRecord {
  const { id, spec, bundle, rootfsPath } = creation;
  return {
    ociVersion: spec.ociVersion,
    id,
    bundle,
    rootfs: rootfsPath,
    created: new Date().toISOString(),
    annotations: spec.annotations ?? {},
    owner: process.getuid?.() ?? 0,
    cgroupPath: cgroupPath(creation),
    cgroups: { ...scope?.cgroup.paths },
    // Of a scope nothing is ours to make.
    ...(scope ? { scope: scope.unit } : { cgroupsToMake: Cgroup.missing(cgroupPath(creation)) }),
    ...(spec.linux?.resources && { resources: withoutDevices(spec.linux.resources) }),
    ...(creation.newKeyring === false && { keepsKeyring: true }),
    hasOwnPidNamespace: hasNew(spec, 'pid'),
    hasUserNamespace: namespacesOf(spec).has('user'),
    hasTimeNamespace: namespacesOf(spec).has('time'),
    ...(hasHostMounts(spec) && { rootIsOver: mountBelow(rootfsPath) }),
    ...lateHooks(spec),
  };
}

/** What the record has to keep of the hooks, where there are any. */
function lateHooks(spec: Spec): Pick<ContainerRecord, 'hooks' | 'configText'> {
  const { startContainer, poststart, poststop } = spec.hooks ?? {};
  if (!startContainer?.length && !poststart?.length && !poststop?.length) return {};
  return {
    hooks: {
      ...(startContainer && { startContainer }),
      ...(poststart && { poststart }),
      ...(poststop && { poststop }),
    },
    ...(startContainer?.length && { configText: specText(spec) }),
  };
}

/** Runs the poststop hooks of a container of which nothing is left but its record. */
export function runPoststopHooks(record: ContainerRecord, warn: Warn): void {
  const { id, bundle, ociVersion, annotations, hooks } = record;
  const state = { id, bundle, status: 'stopped', spec: { ociVersion, annotations } };
  runHooksWarning(hooks?.poststop, 'poststop', { state, warn });
}

/** Adds to the record what is known now that the container is all but complete. */
export function completeRecord(record: ContainerRecord, creation: Creation): ContainerRecord {
  const { creator, init, launcher, cgroup, keeper, program, executable, syncFd } = creation;
  delete record.cgroupsToMake;
  return Object.assign(record, {
    cgroups: { ...cgroup?.paths },
    ...(cgroup && { cgroupsMade: cgroup.made }),
    init: creator.identify(init!.pid),
    stub: creator.executableOf(init!.pid),
    syncFd,
    executable,
    finalCalls: program!.map(({ name }) => name),
    ...(keeper && { keeper: creator.identify(launcher!.pid) }),
  });
}

function undo(creation: Creation): void {
  awaitPending(creation);
  bringBackNetDevices(creation);
  abandon(creation);
  // What systemd has made it removes.
  if (!creation.scopeCgroup) creation.cgroup?.delete();
}

/** While the init is there: with its namespace what is virtual would be gone. */
function bringBackNetDevices({ bringBackNetDevices }: Creation): void {
  try {
    bringBackNetDevices?.();
  } catch (error) {
    // As above.
    if (!(error instanceof StrataError)) throw error;
  }
}

/** A clone that is under way will be there in a moment, and has to be known to be ended. */
function awaitPending(creation: Creation): void {
  try {
    if (creation.pendingInit) creation.init = creation.pendingInit();
  } catch (error) {
    // It failed as well; the error that is being handled came first.
    if (!(error instanceof StrataError)) throw error;
  }
}
