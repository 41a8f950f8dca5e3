/** From the interface's configuration of a container to the manager's. */
import { join } from 'node:path';
import type { ContainerMount, ContainerConfig as ManagedConfig, PodStatus } from '@strata/manager';
import {
  type ContainerConfig,
  type Mount,
  MountPropagation,
  Signal,
} from '../generated/runtime/v1/container_pb.ts';
import { NOTES, notSupported } from '../pods/pod-config.ts';
import { allowedOomScore } from './oom-score.ts';
import { toOciResources } from './resources.ts';
import { securityOptions } from './security.ts';

/** What the interface wants back of a container and the manager has no word for. */
export interface ContainerNotes {
  readonly name: string;
  readonly attempt: number;
  readonly userSpecifiedImage: string;
  readonly imageAnnotations: Readonly<Record<string, string>>;
}

/**
 * @throws UNIMPLEMENTED for what this version cannot do
 * @throws FAILED_PRECONDITION for a privileged container in a pod that is not
 */
export function toContainerConfig(config: ContainerConfig, pod: PodStatus): ManagedConfig {
  const { linux, command, args } = config;
  if (config.CDIDevices.length > 0) throw notSupported('config.CDI_devices');
  return {
    image: config.image!.image,
    name: containerName(config, pod),
    podId: pod.id,
    ...(command.length > 0 && { command }),
    ...(args.length > 0 && { args }),
    env: config.envs.map(({ key, value }) => `${key}=${value}`),
    ...(config.workingDir !== '' && { workingDir: config.workingDir }),
    terminal: config.tty,
    mounts: config.mounts.map(toMount),
    devices: config.devices,
    labels: config.labels,
    annotations: config.annotations,
    ...logPath(config, pod),
    ...securityOptions(linux?.securityContext, pod),
    ...(linux?.resources && {
      resources: toOciResources(linux.resources),
      oomScoreAdj: allowedOomScore(Number(linux.resources.oomScoreAdj)),
    }),
    ...stopSignal(config.stopSignal),
    metadata: { [NOTES]: notesOf(config) },
  };
}

/** A pod and, within it, name and attempt make a container unique; people read it in `strata ps`. */
function containerName({ metadata }: ContainerConfig, { id }: PodStatus): string {
  return `${metadata!.name}_${metadata!.attempt}_${id}`;
}

function notesOf({ metadata, image }: ContainerConfig): ContainerNotes {
  return {
    name: metadata!.name,
    attempt: metadata!.attempt,
    userSpecifiedImage: image!.userSpecifiedImage,
    imageAnnotations: image!.annotations,
  };
}

/** Validation has seen to it that the joined path lies in the pod's directory. */
function logPath({ logPath }: ContainerConfig, { config }: PodStatus): { logPath?: string } {
  if (logPath === '' || config.logDirectory === undefined) return {};
  return { logPath: join(config.logDirectory, logPath) };
}

const PROPAGATION = {
  [MountPropagation.PROPAGATION_PRIVATE]: 'private',
  [MountPropagation.PROPAGATION_HOST_TO_CONTAINER]: 'slave',
  [MountPropagation.PROPAGATION_BIDIRECTIONAL]: 'shared',
} as const;

function toMount(mount: Mount, index: number): ContainerMount {
  const field = `config.mounts[${index}]`;
  if (mount.image) throw notSupported(`${field}.image`);
  if (mount.recursiveReadOnly) throw notSupported(`${field}.recursive_read_only`);
  if (mount.uidMappings.length + mount.gidMappings.length > 0) {
    throw notSupported(`${field}.uidMappings`);
  }
  return {
    hostPath: mount.hostPath,
    containerPath: mount.containerPath,
    readonly: mount.readonly,
    propagation: PROPAGATION[mount.propagation as keyof typeof PROPAGATION],
  };
}

/** The interface's SIGRTMINPLUS3 is SIGRTMIN+3 to everyone else. */
function stopSignal(signal: Signal): { stopSignal?: string } {
  const name = Object.entries(Signal).find(([, value]) => value === signal)?.[0];
  if (name === undefined || signal === Signal.RUNTIME_DEFAULT) return {};
  return { stopSignal: name.replace('PLUS', '+').replace('MINUS', '-') };
}
