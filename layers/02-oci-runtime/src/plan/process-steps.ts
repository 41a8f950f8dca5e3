/** Steps after the pivot: from the root of a finished file system to the process of the spec. */
import {
  Out,
  PR_SET_NO_NEW_PRIVS,
  parseResourceLimits,
  SIGKILL,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import { credentialOperations } from '../process/credentials.ts';
import { findExecutable } from '../process/executable.ts';
import type { Step } from './step.ts';

const FIRST_UNNEEDED_FD = 4;
const LAST_FD = 0xffffffff;
const PERSONALITY: Record<string, number> = { LINUX: 0, LINUX32: 8 };

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
    sys.closeRange(FIRST_UNNEEDED_FD, LAST_FD);
    sys.setCloseOnExec(3, true);
    const [readEnd] = sys.pipe2();
    creation.syncFd = readEnd;
  },
};

export const limits: Step = {
  name: 'set resource limits',
  run({ init, spec }) {
    for (const limit of parseResourceLimits(spec.process!.rlimits!)) {
      init!.sys.setResourceLimit(limit);
    }
  },
};

export const attributes: Step = {
  name: 'set process attributes',
  run({ init, spec }) {
    const { sys } = init!;
    sys.umask(spec.process!.user.umask ?? 0o022);
    const personality = spec.linux?.personality;
    if (personality) sys.personality(PERSONALITY[personality.domain] ?? 0);
    if (spec.process!.noNewPrivileges) sys.call('prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  },
};

export const credentials: Step = {
  name: 'change user',
  run({ init, spec }) {
    const operations = credentialOperations(spec.process!, { canSetGroups: true });
    const results = init!.execute(operations);
    const failed = results.findIndex((result) => result < 0);
    if (failed >= 0) {
      const { name, args } = operations[failed]!;
      throw init!.sys.failure(name, -results[failed]!, args);
    }
    // Changing the user has cleared the parent-death signal.
    init!.sys.setParentDeathSignal(SIGKILL);
  },
};

export const changeDirectory: Step = {
  name: 'change directory',
  run({ init, spec }) {
    const { sys } = init!;
    sys.chdir(spec.process!.cwd);
    checkInside(sys, spec.process!.cwd);
  },
};

/**
 * The working directory must be below the root: a path such as /proc/self/fd/7 could lead out
 * through a leaked descriptor (CVE-2024-21626). The kernel marks such a place '(unreachable)'.
 */
export function checkInside(sys: Syscalls, cwd: string): void {
  const buffer = new Uint8Array(4096);
  const length = sys.call('getcwd', new Out(buffer), buffer.length);
  const actual = new TextDecoder().decode(buffer.subarray(0, length - 1));
  if (!actual.startsWith('/')) {
    const field = 'process.cwd';
    throw new StrataError('INVALID_CONFIG', `${field}: ${cwd} leads out of the root`, { field });
  }
}

export const findProgram: Step = {
  name: 'find program',
  run(creation) {
    const { init, spec } = creation;
    const { args, env } = spec.process!;
    creation.executable = findExecutable(init!.sys, args![0]!, env ?? []);
  },
};
