/**
 * `exec`: another process in a running container.
 *
 *   joiner stub ── setns(pidfd of the init, all its namespaces) ── clone ──▶ process
 *        │                                                                    │
 *        └── keeper, or gone                       cgroup, limits, user, seccomp, execve
 *
 * The joiner makes itself non-dumpable before it joins: a process of the container must not be able
 * to open its descriptors (CVE-2016-9962).
 *
 * @see setns(2) on pidfds
 */
import { closeSync } from 'node:fs';
import {
  adoptTerminal,
  Cgroup,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_PARENT,
  localSyscalls,
  O_DIRECTORY,
  O_PATH,
  RootDirectory,
  SIGKILL,
  StrataError,
  Stub,
  type SyscallName,
  sendConsole,
  startArmedStub,
  syscallSpans,
} from '@strata/namespaces';
import { readBundle } from '../config/read-bundle.ts';
import type { Spec, SpecProcess } from '../config/spec.ts';
import { EXIT_FILE_FD, FIRST_HELD_FD } from '../plan/creator-steps.ts';
import { enterCgroup, openTaskFiles } from '../plan/enter-cgroup.ts';
import { openExitFile } from '../plan/exit-file.ts';
import {
  attributes,
  changeDirectory,
  closeDescriptors,
  credentials,
  credentialsAtCreate,
  findProgram,
  findProgramAt,
  limits,
} from '../plan/process-steps.ts';
import { keepToCpus, schedulingSteps } from '../plan/scheduling-steps.ts';
import {
  assign,
  type Creation,
  type KeeperOptions,
  runSteps,
  type Step,
  settle,
} from '../plan/step.ts';
import { takeDescriptor } from '../plan/take-descriptor.ts';
import { credentialOperations } from '../process/credentials.ts';
import { finalProgram, startProgram } from '../process/final-program.ts';
import { grantableCapabilities } from '../process/grantable.ts';
import { installFilterOfAgent } from '../process/seccomp-agent.ts';
import { openPair } from '../rootfs/console.ts';
import { changeRoot } from '../rootfs/enter-root.ts';
import { startKeeping } from './keeping.ts';
import { openProcess } from './signal.ts';
import type { ContainerRecord } from './state-store.ts';
import { identify } from './status.ts';

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
  keeper?: KeeperOptions;
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

export function execInContainer(record: ContainerRecord, options: ExecOptions): Executed {
  const containerSpec = options.spec ?? readBundle(record.bundle).spec;
  const spec = { ...containerSpec, process: options.process };
  const creation: Creation = {
    id: record.id,
    spec,
    bundle: record.bundle,
    rootfsPath: record.rootfs,
    stdio: options.stdio ?? [0, 1, 2],
    keeper: options.keeper,
    whenExecuted: [],
    newKeyring: false,
    reserve() {},
    runContainerHooks() {},
  };
  try {
    runSteps(execPlan(record, spec, options.executable), creation);
    settle(creation);
    if (creation.consoleMaster !== undefined && options.consoleSocket) {
      sendConsole(options.consoleSocket, creation.consoleMaster);
      closeSync(creation.consoleMaster);
      delete creation.consoleMaster;
    }
    return launch(creation, record.init!.pid);
  } catch (error) {
    creation.init?.[Symbol.dispose]();
    creation.launcher?.[Symbol.dispose]();
    if (creation.consoleMaster !== undefined) localSyscalls().close(creation.consoleMaster);
    throw error;
  }
}

function execPlan(
  record: ContainerRecord,
  spec: Spec & { process: SpecProcess },
  executable: string | undefined,
): Step[] {
  const { process } = spec;
  return [
    joinContainer(record),
    cloneInside(record),
    ...(process.terminal ? [openTerminal] : []),
    closeDescriptors,
    ...(process.rlimits?.length ? [limits] : []),
    ...schedulingSteps(spec),
    attributes,
    ...(credentialsAtCreate(spec) ? [credentials] : []),
    changeDirectory,
    executable === undefined ? findProgram : findProgramAt(executable),
  ];
}

/** The namespaces of the container that differ from ours; joining our own would be refused. */
const ALL_NAMESPACES =
  CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

/** Starts a launcher and has it join the container's namespaces. */
export function joinContainer(record: ContainerRecord): Step {
  return {
    name: 'join namespaces',
    run(creation) {
      const { keeper, id } = creation;
      const pidfd = openProcess(record.init);
      if (pidfd === undefined) {
        throw new StrataError('NOT_RUNNING', `container not running: ${record.id}`);
      }
      const exitFd = keeper && openExitFile(keeper.exitFile);
      const descriptors = new Map([[JOIN_FD, pidfd]]);
      if (exitFd !== undefined) descriptors.set(EXIT_FILE_FD, exitFd);
      keeper?.holdFds?.forEach((fd, index) => {
        descriptors.set(FIRST_HELD_FD + index, fd);
      });
      try {
        creation.launcher = Stub.spawn({
          stdio: creation.stdio,
          descriptors,
          title: `strata: keeper ${id}`,
          listener: syscallSpans('keeper'),
        });
      } finally {
        localSyscalls().close(pidfd);
        if (exitFd !== undefined) closeSync(exitFd);
      }
      const { sys } = creation.launcher;
      assign(creation.launcher, creation.step!);
      sys.setParentDeathSignal(SIGKILL);
      sys.setDumpable(false);
      creation.taskFds = openTaskFiles(sys, record.cgroups);
      joinAll(creation, record);
      sys.close(JOIN_FD);
    },
  };
}

/** Where the joiner finds the pidfd of the container's init. */
const JOIN_FD = 5;

/**
 * All in one call: who has joined the user namespace may no longer look at an init that is still a
 * stub, which cannot be dumped, nor join a namespace that the container has from elsewhere.
 */
function joinAll(creation: Creation, record: ContainerRecord): void {
  const { sys } = creation.launcher!;
  const { hasUserNamespace, hasTimeNamespace, rootIsOver, init } = record;
  const flags = O_PATH | O_DIRECTORY;
  // Where the namespace is the host's, so is its root; who joins it gets that one.
  const root = rootIsOver !== undefined && sys.openat2Later(`/proc/${init!.pid}/root`, { flags });
  const user = hasUserNamespace ? CLONE_NEWUSER : 0;
  sys.setns(JOIN_FD, ALL_NAMESPACES | user | (hasTimeNamespace ? CLONE_NEWTIME : 0));
  if (root !== false) {
    changeRoot(sys, root);
    sys.close(root);
  }
  if (!hasUserNamespace) return;
  sys.setresgid(0);
  sys.setresuid(0);
}

/** Has the launcher clone the process, which goes into the container's cgroup. */
export function cloneInside(record: ContainerRecord): Step {
  return {
    name: 'clone into the container',
    run(creation) {
      const { launcher, keeper, taskFds, spec } = creation;
      const affinity = spec.process!.execCPUAffinity;
      creation.init = launcher!.clone({ flags: keeper ? 0 : CLONE_PARENT });
      const { sys } = creation.init;
      assign(creation.init, creation.step!);
      sys.setParentDeathSignal(SIGKILL);
      keepToCpus(sys, affinity?.initial);
      // It is for the way into the cgroup, which we may be the ones to open.
      if (affinity?.initial) sys.flush();
      if (Object.keys(record.cgroups).length > 0) {
        const cgroup = Cgroup.open(record.cgroups);
        const process = creation.init;
        const beside = record.init?.pid;
        enterCgroup({ cgroup, launcher: launcher!, process, taskFds, beside });
      }
      keepToCpus(sys, affinity?.final);
      sys.setDumpable(false);
      sys.setsid();
    },
  };
}

const openTerminal: Step = {
  name: 'open console',
  field: 'process.terminal',
  run(creation) {
    const { init, spec } = creation;
    const { sys } = init!;
    const rootfs = new RootDirectory(sys, sys.openat2('/', { flags: O_PATH | O_DIRECTORY }));
    const { master, slave } = openPair(sys, rootfs, {
      size: spec.process!.consoleSize,
      owner: { uid: spec.process!.user.uid },
    });
    adoptTerminal(sys, slave);
    creation.consoleMaster = takeDescriptor(init!, master);
  },
};

/** Arms the process, sets the keeper to wait for it, and starts it. */
function launch(creation: Creation, containerPid: number): Executed {
  const { init, launcher, keeper, spec, syncFd } = creation;
  const program = finalProgram({
    process: spec.process!,
    seccomp: spec.linux?.seccomp,
    credentials: credentialsAtCreate(spec)
      ? []
      : credentialOperations(spec.process!, {
          canSetGroups: true,
          grantable: grantableCapabilities(spec),
        }),
    syncEnd: creation.syncEnd!,
  })(creation.executable!);
  const identity = identify(init!.pid);
  const keeperIdentity = keeper && identify(launcher!.pid);
  init!.sys.setParentDeathSignal(0);
  const { id, bundle } = creation;
  installFilterOfAgent({ init: init!, spec, id, bundle, status: 'running', containerPid });
  init!.prepare(program);
  if (keeper) startKeeping(launcher!, { init: init!, master: creation.consoleMaster });
  else launcher!.exit();
  const calls = program.map(({ name }) => name as SyscallName);
  try {
    const { pid } = init!;
    const executable = creation.executable!;
    startProgram(() => startArmedStub({ pid, syncFd: syncFd!, calls, executable }));
  } finally {
    init!.detach();
  }
  return {
    ...identity,
    ...(keeperIdentity && {
      keeperPid: keeperIdentity.pid,
      keeperStartTime: keeperIdentity.startTime,
    }),
    ...(creation.consoleMaster !== undefined && { consoleMaster: creation.consoleMaster }),
  };
}
