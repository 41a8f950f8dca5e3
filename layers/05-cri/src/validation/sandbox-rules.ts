/** The configuration of a pod sandbox. */
import { PodSandboxMetadataSchema } from '../generated/runtime/v1/metadata_pb.ts';
import { NamespaceMode } from '../generated/runtime/v1/namespaces_pb.ts';
import {
  DNSConfigSchema,
  type LinuxPodSandboxConfig,
  LinuxPodSandboxConfigSchema,
  type PodSandboxConfig,
  PodSandboxConfigSchema,
  type PortMapping,
  PortMappingSchema,
} from '../generated/runtime/v1/sandbox_pb.ts';
import { resources } from './resource-rules.ts';
import {
  each,
  entries,
  invalid,
  matches,
  message,
  optional,
  type Rule,
  required,
  text,
  within,
} from './rule.ts';
import { sandboxSecurity } from './security-rules.ts';
import {
  absolutePath,
  cgroupParent,
  hostName,
  ipAddress,
  podName,
  resolverWord,
} from './text-formats.ts';

export const labels = entries<string>({ key: required(text(1024)) });

const port = within(0, 65_535);

const portMapping: Rule<PortMapping> = message(PortMappingSchema, {
  containerPort: port,
  hostPort: port,
  hostIp: optional(ipAddress),
});

/** A `+` or a second line in a value once let a pod set any sysctl of the node: CVE-2022-0811. */
const sysctls = entries<string>({
  key: matches(/^[a-z0-9_-]+([./][A-Za-z0-9_-]+)+$/, 'a sysctl name'),
  value: text(1024),
});

/** Sysctls that belong to a namespace; any other is the node's. */
const NAMESPACED: readonly { prefix: string; namespace: 'ipc' | 'network' }[] = [
  { prefix: 'kernel.shm', namespace: 'ipc' },
  { prefix: 'kernel.msg', namespace: 'ipc' },
  { prefix: 'kernel.sem', namespace: 'ipc' },
  { prefix: 'fs.mqueue.', namespace: 'ipc' },
  { prefix: 'net.', namespace: 'network' },
];

const sysctlsOfThePod: Rule<LinuxPodSandboxConfig> = (config, at) => {
  const options = config.securityContext?.namespaceOptions;
  for (const key of Object.keys(config.sysctls)) {
    const path = `${at}.sysctls["${key}"]`;
    const dotted = key.replaceAll('/', '.');
    const row = NAMESPACED.find(({ prefix }) => dotted.startsWith(prefix));
    if (!row) throw invalid(path, 'is of the whole node, not of a namespace');
    if (options?.[row.namespace] === NamespaceMode.NODE) {
      throw invalid(path, `the pod has the node's ${row.namespace} namespace`);
    }
  }
};

export const sandboxConfig: Rule<PodSandboxConfig | undefined> = message(PodSandboxConfigSchema, {
  metadata: required(
    message(PodSandboxMetadataSchema, {
      name: podName,
      namespace: podName,
      uid: required(text(253)),
    }),
  ),
  hostname: optional(hostName),
  logDirectory: optional(absolutePath),
  dnsConfig: message(DNSConfigSchema, {
    servers: each(ipAddress),
    searches: each(resolverWord),
    options: each(resolverWord),
  }),
  portMappings: each(portMapping),
  labels,
  annotations: labels,
  linux: message(
    LinuxPodSandboxConfigSchema,
    {
      cgroupParent: optional(cgroupParent),
      securityContext: sandboxSecurity,
      sysctls,
      overhead: resources,
      resources,
    },
    sysctlsOfThePod,
  ),
});
