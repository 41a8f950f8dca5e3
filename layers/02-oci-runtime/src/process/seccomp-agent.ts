/**
 * A container whose seccomp profile leaves calls to an agent (SCMP_ACT_NOTIFY, `listenerPath`).
 *
 *   init                             we                               agent
 *   all its own calls are made
 *   seccomp(NEW_LISTENER) = 6  ──▶   pidfd_getfd(init, 6)
 *                                    state + listener ── listenerPath ──▶
 *   futex: waits for start     ◀──   start, which may be another process
 *   credentials, execve        ───────── asked, if the profile says so ──▶
 *
 * The listener exists once the filter is installed, and only who waits for that can take it: so the
 * filter is installed by `create`, not by the init's last program, as in runc. From there on the
 * init waits under it, with futex(2), which therefore has to be allowed.
 *
 * @see runtime-spec config-linux.md#seccomp, listenerPath
 */
import {
  allowsCall,
  type ContainerProcessState,
  SECCOMP_FD_NAME,
  SECCOMP_SET_MODE_FILTER,
  StrataError,
  sendContainerProcessState,
} from '@strata/namespaces';
import type { Creation } from '../plan/step.ts';
import { takeDescriptor } from '../plan/take-descriptor.ts';
import { seccompFilter } from './final-program.ts';

/**
 * Installs the filter and hands its listener to the agent. The process makes no calls after this but
 * its last program.
 *
 * @throws {StrataError} SECCOMP_AGENT where the agent cannot be reached; INVALID_CONFIG
 */
export function installFilterOfAgent(creation: Creation): void {
  const { creator, init, spec } = creation;
  const seccomp = spec.linux!.seccomp!;
  const { program, flags } = seccompFilter(seccomp);
  if (!allowsCall(program, 'futex')) {
    const field = 'linux.seccomp.syscalls';
    const message = `${field}: futex has to be allowed beside SCMP_ACT_NOTIFY, to wait for start`;
    throw new StrataError('INVALID_CONFIG', message, { field });
  }
  const { sys } = creator;
  const inInit = init!.sys.seccomp(SECCOMP_SET_MODE_FILTER, flags, program);
  const listener = takeDescriptor(init!, inInit, sys);
  try {
    sendContainerProcessState(seccomp.listenerPath!, stateFor(creation), listener, sys);
  } finally {
    sys.close(listener);
  }
}

/** Of a new container, or of a further process in one that runs. */
function stateFor({ init, spec, id, bundle, container }: Creation): ContainerProcessState {
  const pid = init!.pid;
  const { ociVersion, annotations = {} } = spec;
  const metadata = spec.linux!.seccomp!.listenerMetadata;
  return {
    ociVersion,
    fds: [SECCOMP_FD_NAME],
    pid,
    ...(metadata !== undefined && { metadata }),
    state: {
      ...{ ociVersion, id, bundle, annotations },
      status: container ? 'running' : 'creating',
      pid: container?.pid ?? pid,
    },
  };
}
