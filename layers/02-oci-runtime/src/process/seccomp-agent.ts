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
  asksAgent,
  type ContainerProcessState,
  localSyscalls,
  SECCOMP_FD_NAME,
  SECCOMP_SET_MODE_FILTER,
  StrataError,
  type Stub,
  sendContainerProcessState,
} from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import { takeDescriptor } from '../plan/take-descriptor.ts';
import { seccompFilter } from './final-program.ts';

export interface AgentOptions {
  /** Gets the filter; makes no calls after this but its last program. */
  init: Stub;
  spec: Spec;
  id: string;
  bundle: string;
  /** 'creating' for a container's init, 'running' for a further process. */
  status: 'creating' | 'running';
  /** Of the container's init. */
  containerPid: number;
}

/**
 * Installs the filter and hands its listener to the agent; does nothing where no agent is asked.
 *
 * @throws {StrataError} SECCOMP_AGENT where the agent cannot be reached; INVALID_CONFIG
 */
export function installFilterOfAgent(options: AgentOptions): void {
  const { init, spec } = options;
  const seccomp = spec.linux?.seccomp;
  if (!seccomp || !asksAgent(seccomp)) return;
  const { program, flags } = seccompFilter(seccomp);
  if (!allowsCall(program, 'futex')) {
    const field = 'linux.seccomp.syscalls';
    const message = `${field}: futex has to be allowed beside SCMP_ACT_NOTIFY, to wait for start`;
    throw new StrataError('INVALID_CONFIG', message, { field });
  }
  const inInit = init.sys.seccomp(SECCOMP_SET_MODE_FILTER, flags, program);
  const listener = takeDescriptor(init, inInit);
  try {
    sendContainerProcessState(seccomp.listenerPath!, stateFor(options), listener);
  } finally {
    localSyscalls().close(listener);
  }
}

function stateFor(options: AgentOptions): ContainerProcessState {
  const { init, spec, id, bundle, status, containerPid } = options;
  const { ociVersion, annotations = {} } = spec;
  const metadata = spec.linux!.seccomp!.listenerMetadata;
  return {
    ociVersion,
    fds: [SECCOMP_FD_NAME],
    pid: init.pid,
    ...(metadata !== undefined && { metadata }),
    state: { ociVersion, id, status, pid: containerPid, bundle, annotations },
  };
}
