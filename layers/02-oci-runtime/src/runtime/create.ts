/**
 * `create`: runs the plan, arms the init with its final program and the keeper with its wait, and
 * writes the state. Undone in reverse where a step fails. A creator that is killed takes its stubs with
 * it (parent-death signal); the record, written before anything that outlives it, lets `delete` find
 * the rest.
 */
import { closeSync, statSync } from 'node:fs';
import {
  Cgroup,
  localSyscalls,
  type Operation,
  StrataError,
  type Stub,
  sendConsole,
} from '@strata/namespaces';
import { readBundle } from '../config/read-bundle.ts';
import type { Spec } from '../config/spec.ts';
import { specText } from '../config/validate.ts';
import { runHooksWarning, type Warn } from '../hooks/hooks.ts';
import { hasNew, namespacesOf } from '../namespaces/namespaces.ts';
import { createPlan } from '../plan/create-plan.ts';
import { cgroupPath } from '../plan/creator-steps.ts';
import { credentialsAtCreate } from '../plan/process-steps.ts';
import { type Creation, type KeeperOptions, runSteps, settle } from '../plan/step.ts';
import { credentialOperations } from '../process/credentials.ts';
import { finalProgram } from '../process/final-program.ts';
import { grantableCapabilities } from '../process/grantable.ts';
import { installFilterOfAgent } from '../process/seccomp-agent.ts';
import { hasHostMounts, mountBelow, removeHostMounts } from '../rootfs/host-mounts.ts';
import { runCreateContainerHooks } from './container-hooks.ts';
import { startKeeping } from './keeping.ts';
import type { ContainerRecord, StateStore } from './state-store.ts';
import { identify } from './status.ts';
import type { ContainerScope } from './systemd-scope.ts';

export interface CreateOptions {
  id: string;
  /** Directory with config.json; relative rootfs and bind sources start here. */
  bundle: string;
  /** A validated spec; default: the bundle's config.json. */
  spec?: Spec;
  /** Our descriptors that become the process's 0, 1 and 2; default: our own. */
  stdio?: readonly [number, number, number];
  /** Unix socket that gets the PTY's master (process.terminal). */
  consoleSocket?: string;
  /** Makes the init the child of a keeper, which outlives us. */
  keeper?: KeeperOptions;
  /** The scope of systemd to put it into; see systemd-scope.ts. */
  scope?: ContainerScope;
  pidFile?: string;
  /** Join a new session keyring; default true. */
  newKeyring?: boolean;
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
  init?: Stub;
}

/** @param warn hears of poststop hooks that fail where the creation has failed */
export function createContainer(store: StateStore, options: CreateOptions, warn: Warn): Created {
  const { id } = options;
  const { spec, bundle, rootfs } = readBundle(options.bundle, options.spec);
  const creation: Creation = {
    id,
    spec,
    bundle,
    rootfsPath: rootfs,
    stdio: options.stdio ?? [0, 1, 2],
    keeper: options.keeper,
    scopeCgroup: options.scope?.cgroup,
    whenExecuted: [],
    newKeyring: options.newKeyring ?? true,
    reserve() {
      store.reserve(record);
      reserved = true;
    },
    runContainerHooks: () => runCreateContainerHooks(creation, record),
  };
  const record = newRecord(creation, options.scope);
  let reserved = false;
  try {
    runSteps(createPlan(spec), creation, options.afterStep);
    const program = programOf(creation);
    settle(creation);
    const master = handOverConsole(creation, options.consoleSocket);
    complete(store, { creation, record, program });
    const { init } = creation;
    if (!options.hold) init!.detach();
    return {
      record,
      ...(master !== undefined && { consoleMaster: master }),
      ...(options.hold && { init: init! }),
    };
  } catch (error) {
    undo(creation);
    removeHostMounts(record);
    if (reserved) store.remove(id);
    if (creation.hooksHaveRun) runPoststopHooks(record, warn);
    throw error;
  }
}

function newRecord(creation: Creation, scope: ContainerScope | undefined): ContainerRecord {
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

interface Made {
  creation: Creation;
  record: ContainerRecord;
  program: (executable: string) => Operation[];
}

function handOverConsole(creation: Creation, socket: string | undefined): number | undefined {
  const master = creation.consoleMaster;
  if (master === undefined || socket === undefined) return master;
  sendConsole(socket, master);
  closeSync(master);
  delete creation.consoleMaster;
  return undefined;
}

/** The init's last calls, put together while it is busy with those before. */
function programOf(creation: Creation): (executable: string) => Operation[] {
  const { spec } = creation;
  creation.init!.sys.post();
  return finalProgram({
    process: spec.process!,
    seccomp: spec.linux?.seccomp,
    credentials: credentialsAtCreate(spec)
      ? []
      : credentialOperations(spec.process!, {
          canSetGroups: true,
          grantable: grantableCapabilities(spec),
        }),
    syncEnd: creation.syncEnd!,
  });
}

/** From here on the container stands on its own. */
function complete(store: StateStore, made: Made): void {
  const { creation, record } = made;
  const { init, launcher, cgroup, keeper, syncFd } = creation;
  const program = made.program(creation.executable!);
  const executable = statSync(`/proc/${init!.pid}/exe`);
  record.cgroups = { ...cgroup?.paths };
  if (cgroup) record.cgroupsMade = cgroup.made;
  delete record.cgroupsToMake;
  record.init = identify(init!.pid);
  record.stub = { device: executable.dev, inode: executable.ino };
  record.syncFd = syncFd!;
  record.executable = creation.executable!;
  record.finalCalls = program.map(({ name }) => name);
  if (keeper) record.keeper = identify(launcher!.pid);
  store.write(record);
  init!.sys.setParentDeathSignal(0);
  const { spec, id, bundle } = creation;
  const status = 'creating';
  installFilterOfAgent({ init: init!, spec, id, bundle, status, containerPid: init!.pid });
  init!.prepare(program);
  if (keeper) startKeeping(launcher!, { init: init!, master: creation.consoleMaster });
  else launcher!.exit();
}

function undo(creation: Creation): void {
  awaitPending(creation);
  bringBackNetDevices(creation);
  creation.init?.[Symbol.dispose]();
  creation.launcher?.[Symbol.dispose]();
  if (creation.consoleMaster !== undefined) localSyscalls().close(creation.consoleMaster);
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
