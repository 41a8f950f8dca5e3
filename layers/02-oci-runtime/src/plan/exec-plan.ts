/**
 * The plan of `exec`: another process in a running container.
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
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_PARENT,
  O_DIRECTORY,
  O_PATH,
  SIGKILL,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import { lacksHome } from '../process/environment.ts';
import type { ProcessIdentity } from '../process/identity.ts';
import { leaveKeyring } from '../process/session-keyring.ts';
import { changeRoot } from '../rootfs/enter-root.ts';
import { isOrdinaryUser } from '../rootless/rootless.ts';
import { enterCgroup, openTaskFiles } from './enter-cgroup.ts';
import { adoptTerminalGiven, openTerminal, openTerminalHere } from './exec-terminal.ts';
import { stepsToRunning } from './finish-steps.ts';
import { JOIN_FD, startLauncherOf, syncFdOf } from './launcher.ts';
import {
  attributes,
  changeDirectory,
  closeDescriptorsButSync,
  credentials,
  credentialsAtCreate,
  findHomeDirectory,
  findProgram,
  findProgramAt,
  limits,
} from './process-steps.ts';
import { keepToCpus, schedulingSteps } from './scheduling-steps.ts';
import { assign, type Creation, type Step } from './step.ts';

/** What has to be known of a container to join it. */
export interface JoinedContainer {
  id: string;
  init?: ProcessIdentity;
  cgroups: Readonly<Record<string, string>>;
  /** They are not its own, but chosen ones below: the process goes there or nowhere. */
  isSubCgroup?: boolean;
  hasUserNamespace: boolean;
  hasTimeNamespace: boolean;
  /** Set where it has its mounts in the host's namespace: see rootfs/host-mounts.ts. */
  rootIsOver?: number;
}

/** @param executable the program's path, where that is not what args[0] names */
export function execPlan(
  container: JoinedContainer,
  creation: Pick<Creation, 'keeper' | 'consoleSocket' | 'spec'>,
  executable?: string,
): Step[] {
  const { spec } = creation;
  const { terminal } = spec.process!;
  const isOurs = terminal && isOrdinaryUser();
  return [
    openSyncPipe,
    ...(isOurs ? [openTerminalHere] : []),
    ...joinSteps(container),
    ...(terminal ? [isOurs ? adoptTerminalGiven : openTerminal] : []),
    closeDescriptorsButSync,
    // Where the executable is given it is a hook, whose environment is the specification's.
    ...(executable === undefined && lacksHome(spec.process?.env ?? []) ? [findHomeDirectory] : []),
    ...(spec.process?.rlimits?.length ? [limits] : []),
    ...schedulingSteps(spec),
    attributes,
    ...(credentialsAtCreate(spec) ? [credentials] : []),
    changeDirectory,
    executable === undefined ? findProgram : findProgramAt(executable),
    ...stepsToRunning(creation),
  ];
}

/** The steps to a stub in the container. */
export const joinSteps = (container: JoinedContainer): Step[] => [
  joinContainer(container),
  cloneInside(container),
];

/**
 * Unlike a container, which another process may start, this process is started by us: the pipe that
 * tells of its execve is ours, and nothing has to be taken from a process that is hidden from the
 * container, which only root could.
 */
const openSyncPipe: Step = {
  name: 'open sync pipe',
  run(creation) {
    const [readEnd, writeEnd] = creation.creator.sys.pipe2();
    creation.syncPipe = { readEnd, writeEnd };
    creation.syncEnd = syncFdOf(creation);
  },
};

/** Those that root may always join, also where they are its own: see also joinAll. */
const ALL_NAMESPACES =
  CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

/** Starts a launcher and has it join the container's namespaces. */
function joinContainer(container: JoinedContainer): Step {
  return {
    name: 'join namespaces',
    run(creation) {
      const { creator } = creation;
      const pidfd = creator.openProcess(container.init);
      if (pidfd === undefined) {
        throw new StrataError('NOT_RUNNING', `container not running: ${container.id}`);
      }
      let sys: Syscalls;
      try {
        sys = startLauncherOf(creation, pidfd);
      } finally {
        creator.sys.close(pidfd);
      }
      sys.setDumpable(false);
      creation.taskFds = openTaskFiles(sys, container.cgroups);
      joinAll(creation, container);
      sys.close(JOIN_FD);
    },
  };
}

/**
 * All in one call: who has joined the user namespace may no longer look at an init that is still a
 * stub, which cannot be dumped, nor join a namespace that the container has from elsewhere.
 */
function joinAll(creation: Creation, container: JoinedContainer): void {
  const { sys } = creation.launcher!;
  const { hasUserNamespace, hasTimeNamespace, rootIsOver, init } = container;
  const flags = O_PATH | O_DIRECTORY;
  // Where the namespace is the host's, so is its root; who joins it gets that one.
  const root = rootIsOver !== undefined && sys.openat2Later(`/proc/${init!.pid}/root`, { flags });
  const user = hasUserNamespace ? CLONE_NEWUSER : 0;
  const all = ALL_NAMESPACES | user | (hasTimeNamespace ? CLONE_NEWTIME : 0);
  // What the container shares with an ordinary user may not be for that one to join.
  sys.setns(JOIN_FD, creation.rootless ? creation.creator.namespacesUnlikeOurs(init!.pid) : all);
  if (root !== false) {
    changeRoot(sys, root);
    sys.close(root);
  }
  if (!hasUserNamespace) return;
  sys.setresgid(0);
  sys.setresuid(0);
  // A change of user may have made it dumpable again (fs.suid_dumpable), and its clone will be in
  // sight of the container.
  sys.setDumpable(false);
}

/** Has the launcher clone the process, which goes into the container's cgroup. */
function cloneInside({ cgroups, isSubCgroup, init }: JoinedContainer): Step {
  return {
    name: 'clone into the container',
    run(creation) {
      const { creator, launcher, keeper, taskFds, spec, newKeyring, id } = creation;
      const affinity = spec.process!.execCPUAffinity;
      creation.init = launcher!.clone({ flags: keeper ? 0 : CLONE_PARENT });
      if (creation.syncPipe) launcher!.sys.close(syncFdOf(creation));
      const { sys } = creation.init;
      assign(creation.init, creation.step!);
      sys.setParentDeathSignal(SIGKILL);
      keepToCpus(sys, affinity?.initial);
      // It is for the way into the cgroup, which we may be the ones to open.
      if (affinity?.initial) sys.flush();
      if (Object.keys(cgroups).length > 0) {
        const cgroup = creator.openCgroup(cgroups);
        const process = creation.init;
        const options = { cgroup, launcher: launcher!, process, taskFds };
        enterCgroup({ ...options, beside: isSubCgroup ? undefined : init?.pid });
      }
      keepToCpus(sys, affinity?.final);
      sys.setsid();
      if (newKeyring) leaveKeyring(sys, id);
    },
  };
}
