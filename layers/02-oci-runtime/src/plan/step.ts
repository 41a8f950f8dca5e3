/**
 * A container is made by a list of steps.
 *
 * Each step has a name a person understands ('mount /proc', 'drop capabilities') and does a few
 * system calls, in the creating process or, through its stub, in the container's init. The list is
 * data: it can be printed, traced, and interrupted after each step by a test.
 */
import {
  type Cgroup,
  type Descriptor,
  isTracing,
  located,
  type Operation,
  span,
} from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import type { ProcessIdentity } from '../process/identity.ts';
import type { ContainerRoot } from '../rootfs/container-root.ts';
import type { ContainerCgroup, Creator, Worker } from './creator.ts';

/** What the steps work on. Fields are filled by the step named in the comment. */
export interface Creation {
  /** Does what is not done by stubs. */
  readonly creator: Creator;
  readonly id: string;
  readonly spec: Spec;
  readonly bundle: string;
  /** Absolute path of the rootfs on the host. */
  readonly rootfsPath: string;
  readonly stdio: readonly [number, number, number];
  /** Our descriptors that become the process's 3, 4, ... */
  readonly inheritFds?: readonly number[] | undefined;
  readonly keeper?: KeeperOptions | undefined;
  readonly newKeyring?: boolean;
  /** Whether we are not the machine's root: see rootless/rootless.ts. */
  readonly rootless?: boolean | undefined;
  /** The root is put over the old one: see rootfs/move-root.ts. */
  readonly noPivot?: boolean | undefined;
  /** Gets the PTY's master; it stays with us where there is none. */
  readonly consoleSocket?: string | undefined;
  /** Where the cgroup is there already, made by systemd and with its limits. */
  readonly scopeCgroup?: Cgroup | undefined;
  /** Of a new container: what will be known of it. */
  readonly record?: Recording;
  /** Of a further process: the init of the container that it joins. */
  readonly container?: ProcessIdentity;
  /** What steps have left to do once the calls that they left with the stubs are executed. */
  readonly whenExecuted: (() => void)[];
  /** The step that is being done. */
  step?: Step;
  /** 'create cgroup' */
  cgroup?: ContainerCgroup;
  /** 'start launcher': the process that clones the init, and stays as its keeper if asked to. */
  launcher?: Worker;
  /** 'open cgroup': `tasks` files of cgroup v1, in the launcher and its clone. */
  taskFds?: readonly Descriptor[];
  /** 'id-map mounts': detached mounts by their index in the spec, in the launcher and its clone. */
  idMappedBinds?: ReadonlyMap<number, Descriptor>;
  /** 'open shared volumes': as before, of all others that are bind mounts, in the init. */
  sharedBinds?: ReadonlyMap<number, Descriptor>;
  /** 'begin namespaces': waits for the clone that is under way. */
  pendingInit?: () => Worker;
  /** 'create namespaces' */
  init?: Worker;
  /** From the first hook on, a creation that fails ends with the poststop hooks. */
  hooksHaveRun?: boolean;
  /** 'move network devices': brings them back. */
  bringBackNetDevices?: () => void;
  /** 'open rootfs' */
  rootfs?: ContainerRoot;
  /** 'console': our descriptor of the PTY's master. */
  consoleMaster?: number;
  /** 'close descriptors': the read end of the sync pipe, in the init. */
  syncFd?: number;
  /** 'close descriptors': its write end, known when the calls are executed. */
  syncEnd?: Descriptor;
  /** 'open sync pipe': ours, where the process is started by nobody else. */
  syncPipe?: { readEnd: number; writeEnd?: number };
  /** 'open console': ours, where the process gets its terminal from us. */
  terminalSlave?: number;
  /** 'find home directory': empty until the calls are executed. */
  home?: string;
  /** 'find program' */
  executable?: string;
  /** 'prepare program': the last calls of the init. */
  program?: readonly Operation[];
  /** 'start program', before that is done: the program may end at once. */
  identities?: { process: ProcessIdentity; keeper?: ProcessIdentity };
}

/** The record of a container that is being made; see runtime/state-store.ts. */
export interface Recording {
  /** Takes the id. @throws {StrataError} ALREADY_EXISTS */
  reserve(): void;
  /** Writes what is needed to undo the creation from here on. */
  stage(creation: Creation): void;
  /** Makes it the state of a created container. */
  publish(): void;
}

export interface KeeperOptions {
  /** Gets the init's siginfo_t when it ends. */
  exitFile: string;
  /** Our descriptors that the keeper shall hold as its 10, 11, ... */
  holdFds?: readonly number[];
}

export interface Step {
  name: string;
  /** What the step is for: named in its errors, where they know nothing better. */
  field?: string;
  /** Does the step, or leaves its calls with the stubs, which keep them until a result is needed. */
  run(creation: Creation): void;
}

/**
 * Runs the steps in order; errors say in which step they happened. Not all has been executed until
 * `settle`.
 *
 * The calls of many steps go to a stub as one program: a container takes some two hundred, and
 * handing over to another process and back takes longer than most of them.
 */
export function runSteps(
  steps: readonly Step[],
  creation: Creation,
  afterStep?: (name: string) => void,
): void {
  for (const step of steps) {
    if (isTracing()) span(step.name, {}, () => runStep(step, creation));
    else runStep(step, creation);
    if (!afterStep) continue;
    located({ step: step.name }, () => settle(creation));
    afterStep(step.name);
  }
}

function runStep(step: Step, creation: Creation): void {
  const { init, launcher, whenExecuted } = creation;
  const { name, field } = step;
  creation.step = step;
  for (const stub of [init, launcher]) if (stub) assign(stub, step);
  const place = { step: name, field };
  const before = whenExecuted.length;
  located(place, () => step.run(creation));
  for (let index = before; index < whenExecuted.length; index++) {
    const rest = whenExecuted[index]!;
    whenExecuted[index] = () => located(place, rest);
  }
}

/** Has a stub's calls be of a step; to be called as well for one that a step has made. */
export function assign({ sys }: Worker, { name, field }: Step): void {
  sys.step = name;
  sys.field = field;
  sys.deferring = true;
}

/**
 * Has the stubs execute what they keep, and does what waited for it.
 * @throws {StrataError} of the step whose call failed
 */
export function settle({ launcher, init, pendingInit, whenExecuted }: Creation): void {
  // While it clones, the launcher takes no calls.
  if (!pendingInit && !launcher?.isExiting) launcher?.sys.flush();
  init?.sys.flush();
  for (const rest of whenExecuted.splice(0)) rest();
}

/** Ends the stubs of a creation that has failed, whatever they are doing. */
export function abandon(creation: Creation): void {
  const { creator, init, launcher, consoleMaster } = creation;
  init?.[Symbol.dispose]();
  launcher?.[Symbol.dispose]();
  if (consoleMaster !== undefined) creator.sys.close(consoleMaster);
  closeOurs(creation);
}

/** Closes what steps have opened here and nobody needs when they are done. */
export function closeOurs({ creator, syncPipe, terminalSlave }: Creation): void {
  for (const fd of [syncPipe?.readEnd, syncPipe?.writeEnd, terminalSlave]) {
    if (fd !== undefined) creator.sys.close(fd);
  }
}
