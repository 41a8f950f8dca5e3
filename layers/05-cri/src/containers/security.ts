/** Users, capabilities, seccomp and namespaces of a container, in the manager's words. */
import { readFileSync } from 'node:fs';
import type {
  ContainerConfig as ManagedConfig,
  NamespaceMode as ManagedMode,
  PodStatus,
  SecurityConfig,
} from '@strata/manager';
import { StrataError } from '@strata/namespaces';
import { NamespaceMode, type NamespaceOption } from '../generated/runtime/v1/namespaces_pb.ts';
import {
  type LinuxContainerSecurityContext,
  type SecurityProfile,
  SecurityProfile_ProfileType,
  SupplementalGroupsPolicy,
} from '../generated/runtime/v1/security_pb.ts';
import { notSupported } from '../pods/pod-config.ts';

const FIELD = 'config.linux.security_context';

type SecurityPart = Pick<ManagedConfig, 'user' | 'supplementalGroups' | 'security' | 'namespaces'>;

/** Without a security context, all is as the manager has it by default: confined. */
export function securityOptions(
  context: LinuxContainerSecurityContext | undefined,
  pod: PodStatus,
): SecurityPart {
  if (!context) return { namespaces: { pid: 'pod' } };
  refuseUnsupported(context);
  if (context.privileged && !pod.config.privileged) {
    const why = 'the pod is not privileged, so its containers cannot be';
    throw new StrataError('FAILED_PRECONDITION', `${FIELD}.privileged: ${why}`, {
      field: `${FIELD}.privileged`,
    });
  }
  return {
    ...user(context),
    supplementalGroups: context.supplementalGroups.map(Number),
    security: security(context),
    namespaces: namespaces(context.namespaceOptions),
  };
}

function refuseUnsupported(context: LinuxContainerSecurityContext): void {
  const { capabilities, apparmor, apparmorProfile, supplementalGroupsPolicy } = context;
  if (capabilities && capabilities.addAmbientCapabilities.length > 0) {
    throw notSupported(`${FIELD}.capabilities.add_ambient_capabilities`);
  }
  if (supplementalGroupsPolicy === SupplementalGroupsPolicy.Strict) {
    throw notSupported(`${FIELD}.supplemental_groups_policy: Strict`);
  }
  const named = apparmor?.profileType === SecurityProfile_ProfileType.Localhost;
  if (named || apparmorProfile.startsWith('localhost/')) throw notSupported(`${FIELD}.apparmor`);
}

function user(context: LinuxContainerSecurityContext): { user?: string } {
  const { runAsUser, runAsUsername, runAsGroup } = context;
  const name = runAsUser ? `${runAsUser.value}` : runAsUsername;
  if (name === '') return {};
  return { user: runAsGroup ? `${name}:${runAsGroup.value}` : name };
}

function security(context: LinuxContainerSecurityContext): SecurityConfig {
  const { capabilities, seccomp, privileged } = context;
  return {
    privileged,
    readonlyRootfs: context.readonlyRootfs,
    noNewPrivileges: context.noNewPrivs,
    addCapabilities: capabilities?.addCapabilities ?? [],
    dropCapabilities: capabilities?.dropCapabilities ?? [],
    seccomp: seccompProfile(seccomp),
    // Given lists are the whole truth: empty ones unmask everything (procMount: Unmasked).
    ...(!privileged && {
      maskedPaths: context.maskedPaths,
      readonlyPaths: context.readonlyPaths,
    }),
  };
}

/**
 * A kubelet always says which profile it wants; who says nothing gets the default one, where
 * containerd would leave the container unconfined.
 */
function seccompProfile(profile: SecurityProfile | undefined): SecurityConfig['seccomp'] & {} {
  switch (profile?.profileType) {
    case SecurityProfile_ProfileType.Unconfined:
      return 'unconfined';
    case SecurityProfile_ProfileType.Localhost:
      return readProfile(profile.localhostRef);
    default:
      return 'default';
  }
}

/** The runtime checks what is in it. */
function readProfile(path: string): Exclude<SecurityConfig['seccomp'], string | undefined> {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const field = `${FIELD}.seccomp.localhost_ref`;
    const message = `${field}: cannot read ${path}: ${(cause as Error).message}`;
    throw new StrataError('INVALID_ARGUMENT', message, { path, field, cause });
  }
}

const MODES: Readonly<Record<number, ManagedMode>> = {
  [NamespaceMode.POD]: 'pod',
  [NamespaceMode.CONTAINER]: 'container',
  [NamespaceMode.NODE]: 'host',
};

function namespaces(options: NamespaceOption | undefined): ManagedConfig['namespaces'] & {} {
  if (!options) return { pid: 'pod' };
  const field = `${FIELD}.namespace_options`;
  if (options.pid === NamespaceMode.TARGET) throw notSupported(`${field}.pid: TARGET`);
  if (options.usernsOptions && options.usernsOptions.mode !== NamespaceMode.NODE) {
    throw notSupported(`${field}.userns_options`);
  }
  // Network and ipc are the pod's, be they its own or the node's.
  return { network: 'pod', ipc: 'pod', pid: MODES[options.pid]! };
}
