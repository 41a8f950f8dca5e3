/** Who processes are and what they may do. */
import {
  NamespaceMode,
  type NamespaceOption,
  NamespaceOptionSchema,
} from '../generated/runtime/v1/namespaces_pb.ts';
import type { Int64Value } from '../generated/runtime/v1/scalars_pb.ts';
import { Int64ValueSchema } from '../generated/runtime/v1/scalars_pb.ts';
import {
  CapabilitySchema,
  type LinuxContainerSecurityContext,
  LinuxContainerSecurityContextSchema,
  type LinuxSandboxSecurityContext,
  LinuxSandboxSecurityContextSchema,
  type SecurityProfile,
  SecurityProfile_ProfileType,
  SecurityProfileSchema,
} from '../generated/runtime/v1/security_pb.ts';
import { all, each, invalid, matches, message, optional, type Rule, text, within } from './rule.ts';
import { absolutePath, id } from './text-formats.ts';

/**
 * A user or group id. 2^32 - 1 means "no change" to the kernel, and larger ones would be cut to 32
 * bits: 2^32 to root (CVE-2024-40635). @see chown(2)
 */
const accountId = within(0, 2 ** 32 - 2);

const accountIdValue: Rule<Int64Value | undefined> = message(Int64ValueSchema, {
  value: accountId,
});

const seccompProfile: Rule<SecurityProfile | undefined> = message(
  SecurityProfileSchema,
  {},
  (profile, at) => {
    if (profile.profileType !== SecurityProfile_ProfileType.Localhost) return;
    const path = `${at}.localhost_ref`;
    if (profile.localhostRef === '') throw invalid(path, 'required with Localhost');
    absolutePath(profile.localhostRef, path);
  },
);

/** Namespaces that a pod shares may only be the pod's or the node's. */
const podOrNode: Rule<NamespaceMode> = (mode, at) => {
  if (mode !== NamespaceMode.POD && mode !== NamespaceMode.NODE) {
    throw invalid(at, 'must be POD or NODE');
  }
};

const targetOnlyWithTarget: Rule<NamespaceOption> = (options, at) => {
  const path = `${at}.target_id`;
  if (options.pid === NamespaceMode.TARGET) id(options.targetId, path);
  else if (options.targetId !== '') throw invalid(path, 'needs pid TARGET');
};

const namespaceOptions: Rule<NamespaceOption | undefined> = message(
  NamespaceOptionSchema,
  { network: podOrNode, ipc: podOrNode },
  targetOnlyWithTarget,
);

const capabilityNames = each<string>(
  matches(/^(ALL|(CAP_)?[A-Z][A-Z0-9_]{1,31})$/i, 'a capability such as NET_ADMIN, or ALL'),
);

export const sandboxSecurity: Rule<LinuxSandboxSecurityContext | undefined> = message(
  LinuxSandboxSecurityContextSchema,
  {
    namespaceOptions,
    runAsUser: accountIdValue,
    runAsGroup: accountIdValue,
    supplementalGroups: each(accountId),
    seccomp: seccompProfile,
  },
  (context, at) => {
    if (context.runAsGroup && !context.runAsUser) {
      throw invalid(`${at}.run_as_group`, 'needs run_as_user');
    }
  },
);

const oneUser: Rule<LinuxContainerSecurityContext> = (context, at) => {
  if (context.runAsUser && context.runAsUsername !== '') {
    throw invalid(`${at}.run_as_username`, 'run_as_user is given too');
  }
  if (context.runAsGroup && !context.runAsUser && context.runAsUsername === '') {
    throw invalid(`${at}.run_as_group`, 'needs run_as_user or run_as_username');
  }
};

export const containerSecurity: Rule<LinuxContainerSecurityContext | undefined> = message(
  LinuxContainerSecurityContextSchema,
  {
    capabilities: message(CapabilitySchema, {
      addCapabilities: capabilityNames,
      dropCapabilities: capabilityNames,
      addAmbientCapabilities: capabilityNames,
    }),
    namespaceOptions,
    runAsUser: accountIdValue,
    runAsGroup: accountIdValue,
    runAsUsername: optional(all(text(256), matches(/^[^:/\s]+$/, 'a user name'))),
    supplementalGroups: each(accountId),
    maskedPaths: each(absolutePath),
    readonlyPaths: each(absolutePath),
    seccomp: seccompProfile,
  },
  oneUser,
);
