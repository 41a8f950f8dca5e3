/** From the interface's configuration of a sandbox to the manager's of a pod. */

import type { PodConfig } from '@strata/manager';
import { StrataError } from '@strata/namespaces';
import { toOciResources } from '../containers/resources.ts';
import { NamespaceMode, type NamespaceOption } from '../generated/runtime/v1/namespaces_pb.ts';
import type {
  LinuxPodSandboxConfig,
  PodSandboxConfig,
} from '../generated/runtime/v1/sandbox_pb.ts';

/**
 * What the interface wants back of a pod and the manager has no word for. That a pod has it also
 * says that it is a kubelet's: pods that people make with `strata` are not listed to a kubelet,
 * which would take them for orphans and remove them.
 */
export interface PodNotes {
  readonly runtimeHandler: string;
}

/** The key of `PodNotes` and of `ContainerNotes` in the manager's metadata. */
export const NOTES = 'cri';

export const notSupported = (field: string): StrataError =>
  new StrataError('UNIMPLEMENTED', `${field}: not supported yet`, { field });

/** @throws UNIMPLEMENTED for what this version cannot do */
export function toPodConfig(config: PodSandboxConfig, runtimeHandler: string): PodConfig {
  const { name, namespace, uid, attempt } = config.metadata!;
  const notes: PodNotes = { runtimeHandler };
  refuseHostPorts(config);
  return {
    name,
    namespace,
    uid,
    attempt,
    labels: config.labels,
    annotations: config.annotations,
    ...(config.hostname !== '' && { hostname: config.hostname }),
    ...(config.logDirectory !== '' && { logDirectory: config.logDirectory }),
    ...(config.dnsConfig && { dns: config.dnsConfig }),
    ...(config.linux && linuxConfig(config.linux)),
    namespaces: namespaces(config.linux?.securityContext?.namespaceOptions),
    metadata: { [NOTES]: notes },
  };
}

/** With the node's network a container's port is the node's, and there is nothing to forward. */
function refuseHostPorts({ portMappings, linux }: PodSandboxConfig): void {
  if (linux?.securityContext?.namespaceOptions?.network === NamespaceMode.NODE) return;
  const index = portMappings.findIndex(({ hostPort }) => hostPort !== 0);
  if (index >= 0) throw notSupported(`config.port_mappings[${index}].host_port`);
}

function linuxConfig(linux: LinuxPodSandboxConfig): Partial<PodConfig> {
  const { cgroupParent, resources, securityContext, sysctls } = linux;
  return {
    sysctls,
    ...(cgroupParent !== '' && { cgroupParent: absolute(cgroupParent) }),
    ...(resources && { resources: toOciResources(resources) }),
    ...(securityContext?.privileged && { privileged: true }),
  };
}

function absolute(cgroup: string): string {
  if (cgroup.endsWith('.slice')) throw notSupported("config.linux.cgroup_parent: systemd's slices");
  return cgroup.startsWith('/') ? cgroup : `/${cgroup}`;
}

const NAMESPACE_MODES = {
  [NamespaceMode.POD]: 'pod',
  [NamespaceMode.CONTAINER]: 'container',
  [NamespaceMode.NODE]: 'host',
} as const;

function namespaces(options: NamespaceOption | undefined): PodConfig['namespaces'] & {} {
  if (!options) return { pid: 'pod' };
  const { network, ipc, pid, usernsOptions } = options;
  const field = 'config.linux.security_context.namespace_options';
  if (usernsOptions && usernsOptions.mode !== NamespaceMode.NODE) {
    throw notSupported(`${field}.userns_options`);
  }
  if (pid === NamespaceMode.TARGET) throw notSupported(`${field}.pid: TARGET`);
  return {
    network: network === NamespaceMode.NODE ? 'host' : 'pod',
    ipc: ipc === NamespaceMode.NODE ? 'host' : 'pod',
    pid: NAMESPACE_MODES[pid as keyof typeof NAMESPACE_MODES],
  };
}
