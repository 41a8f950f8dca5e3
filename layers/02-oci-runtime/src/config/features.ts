/**
 * What this runtime can do, read from the tables by which it does it.
 *
 * It says what is implemented, not what this machine has; only the flags of seccomp are asked of the
 * kernel, as the specification wants it.
 *
 * @see runtime-spec features.md, features-linux.md
 */
import {
  CAPABILITIES,
  knownMountOptions,
  MEMORY_POLICY_FLAGS,
  MEMORY_POLICY_MODES,
  seccompVocabulary,
  supportedFlags,
} from '@strata/namespaces';
import { NAMESPACES } from '../namespaces/namespaces.ts';
import { HOOK_NAMES } from './hook-names.ts';
import { OCI_VERSION } from './oci-version.ts';

interface Enabled {
  enabled: boolean;
}

export interface Features {
  ociVersionMin: string;
  ociVersionMax: string;
  hooks: string[];
  mountOptions: string[];
  linux: {
    namespaces: string[];
    capabilities: string[];
    cgroup: { v1: boolean; v2: boolean; systemd: boolean; systemdUser: boolean; rdma: boolean };
    seccomp: Enabled & {
      actions: string[];
      operators: string[];
      archs: string[];
      knownFlags: string[];
      supportedFlags: string[];
    };
    apparmor: Enabled;
    selinux: Enabled;
    intelRdt: Enabled;
    memoryPolicy: { modes: string[]; flags: string[] };
    mountExtensions: { idmap: Enabled };
    netDevices: Enabled;
  };
  annotations: Record<string, string>;
}

/** The oldest version whose configurations are taken: all of the specification's first major one. */
const OLDEST_VERSION = '1.0.0';
/** What callers that know only runc may expect: its command line and configurations. */
const AS_RUNC_VERSION = '1.4.0';

export function runtimeFeatures(): Features {
  return {
    ociVersionMin: OLDEST_VERSION,
    ociVersionMax: OCI_VERSION,
    hooks: [...HOOK_NAMES],
    mountOptions: knownMountOptions(),
    linux: {
      namespaces: Object.keys(NAMESPACES).sort(),
      capabilities: Object.keys(CAPABILITIES),
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: seccompFeatures(),
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: false },
      memoryPolicy: {
        modes: [...MEMORY_POLICY_MODES].sort(),
        flags: [...MEMORY_POLICY_FLAGS].sort(),
      },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
    annotations: {
      'org.opencontainers.runc.version': AS_RUNC_VERSION,
      'org.opencontainers.runc.checkpoint.enabled': 'false',
    },
  };
}

function seccompFeatures(): Features['linux']['seccomp'] {
  const { actions, operators, architectures, flags } = seccompVocabulary();
  return {
    enabled: true,
    actions,
    operators,
    archs: architectures,
    knownFlags: flags,
    supportedFlags: supportedFlags().sort(),
  };
}
