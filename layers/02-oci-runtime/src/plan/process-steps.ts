/** Steps after the pivot: from the root of a finished file system to the process of the spec. */
import {
  LaterResult,
  type Operation,
  Out,
  parseResourceLimits,
  SIGKILL,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import { CREDENTIAL_FIELDS, credentialOperations } from '../process/credentials.ts';
import { findHome } from '../process/environment.ts';
import { findExecutable } from '../process/executable.ts';
import { grantableCapabilities } from '../process/grantable.ts';
import { maySetGroups } from '../rootless/setgroups.ts';
import { closeAllButInherited, pipeBeyondInherited } from './inherited-descriptors.ts';
import { syncFdOf } from './launcher.ts';
import type { Creation, Step } from './step.ts';

const FIRST_UNNEEDED_FD = 4;
const LAST_FD = 0xffffffff;
const SLASH = 0x2f;

/**
 * Whether the user can be changed at create: not if a seccomp filter has to be installed by root at
 * start (see final-program.ts).
 */
export function credentialsAtCreate(spec: Spec): boolean {
  return spec.process?.noNewPrivileges === true || !spec.linux?.seccomp;
}

/** Every descriptor the making of the container has left, and all that were inherited. */
export const closeDescriptors: Step = {
  name: 'close descriptors',
  run(creation) {
    const { sys } = creation.init!;
    const inherited = creation.inheritFds?.length ?? 0;
    closeAllButInherited(sys, FIRST_UNNEEDED_FD, inherited);
    sys.setCloseOnExec(3, true);
    const syncEnd = new LaterResult();
    creation.syncEnd = syncEnd;
    if (inherited > 0) {
      [creation.syncFd, syncEnd.value] = pipeBeyondInherited(sys, inherited);
      return;
    }
    const ends = sys.pipe2Later();
    creation.whenExecuted.push(() => {
      [creation.syncFd, syncEnd.value] = ends();
    });
  },
};

/** As `closeDescriptors`, for a process that has the sync pipe's write end already. */
export const closeDescriptorsButSync: Step = {
  name: 'close descriptors',
  run(creation) {
    const { sys } = creation.init!;
    const syncEnd = syncFdOf(creation);
    const inherited = creation.inheritFds?.length ?? 0;
    if (inherited > 0) {
      // It is the one behind them.
      closeAllButInherited(sys, FIRST_UNNEEDED_FD, inherited + 1);
      sys.setCloseOnExec(3, true);
      return;
    }
    sys.closeRange(FIRST_UNNEEDED_FD, syncEnd - 1);
    sys.closeRange(syncEnd + 1, LAST_FD);
    for (const fd of [3, syncEnd]) sys.setCloseOnExec(fd, true);
  },
};

export const findHomeDirectory: Step = {
  name: 'find home directory',
  field: 'process.env',
  run(creation) {
    const { init, spec, whenExecuted } = creation;
    const found = findHome(init!.sys, spec.process!.user.uid);
    creation.home = '';
    whenExecuted.push(() => {
      creation.home = found();
    });
  },
};

export const limits: Step = {
  name: 'set resource limits',
  field: 'process.rlimits',
  run({ init, spec }) {
    const { sys } = init!;
    parseResourceLimits(spec.process!.rlimits!).forEach((limit, index) => {
      sys.field = `process.rlimits[${index}]`;
      sys.setResourceLimit(limit);
    });
  },
};

export const attributes: Step = {
  name: 'set process attributes',
  field: 'process.noNewPrivileges',
  run({ init, spec }) {
    const { sys } = init!;
    sys.umask(spec.process!.user.umask ?? 0o022);
    if (spec.process!.noNewPrivileges) sys.setNoNewPrivileges();
  },
};

export const credentials: Step = {
  name: 'change user',
  field: 'process.user',
  run(creation) {
    const { init } = creation;
    const { sys } = init!;
    for (const { name, args } of operationsFor(creation)) {
      sys.field = CREDENTIAL_FIELDS[name];
      sys.order(name, ...args);
    }
    // Changing the user has cleared the parent-death signal.
    sys.setParentDeathSignal(SIGKILL);
  },
};

/** The calls that have to follow a seccomp filter, at start; none where the user was changed already. */
export const credentialsAtStart = (creation: Creation): Operation[] =>
  credentialsAtCreate(creation.spec) ? [] : operationsFor(creation);

const operationsFor = (creation: Creation): Operation[] =>
  credentialOperations(creation.spec.process!, {
    canSetGroups: maySetGroups(creation),
    grantable: grantableCapabilities(creation.spec),
  });

export const changeDirectory: Step = {
  name: 'change directory',
  field: 'process.cwd',
  run({ init, spec, whenExecuted }) {
    const { sys } = init!;
    sys.chdir(spec.process!.cwd);
    whenExecuted.push(checkInside(sys, spec.process!.cwd));
  },
};

/**
 * The working directory must be below the root: a path such as /proc/self/fd/7 could lead out
 * through a leaked descriptor (CVE-2024-21626). The kernel marks such a place '(unreachable)'.
 */
function checkInside(sys: Syscalls, cwd: string): () => void {
  const actual = new Uint8Array(4096);
  sys.order('getcwd', new Out(actual), actual.length);
  return () => {
    if (actual[0] === SLASH) return;
    const field = 'process.cwd';
    throw new StrataError('INVALID_CONFIG', `${field}: ${cwd} leads out of the root`, { field });
  };
}

export const findProgram: Step = {
  name: 'find program',
  field: 'process.args[0]',
  run(creation) {
    find(creation, creation.spec.process!.args![0]!);
  },
};

/** As `findProgram`, for a program whose path is not args[0]. */
export const findProgramAt = (path: string): Step => ({
  name: 'find program',
  run(creation) {
    find(creation, path);
  },
});

function find(creation: Creation, name: string): void {
  const { init, spec } = creation;
  const found = findExecutable(init!.sys, name, spec.process!.env ?? []);
  creation.whenExecuted.push(() => {
    creation.executable = found();
  });
}
