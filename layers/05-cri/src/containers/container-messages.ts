/** What is told about containers: from the manager's status to the interface's messages. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ContainerMount, ContainerStatus } from '@strata/manager';
import {
  type ContainerSchema,
  ContainerState,
  type ContainerStatusSchema,
  MountPropagation,
  Signal,
} from '../generated/runtime/v1/container_pb.ts';
import { NOTES } from '../pods/pod-config.ts';
import type { ContainerNotes } from './container-config.ts';
import { fromOciResources } from './resources.ts';

/** What we noted of a container when it was made; undefined for one that is not a kubelet's. */
export const containerNotes = (container: ContainerStatus): ContainerNotes | undefined =>
  container.config.metadata?.[NOTES] as ContainerNotes | undefined;

const STATES = {
  creating: ContainerState.CONTAINER_UNKNOWN,
  created: ContainerState.CONTAINER_CREATED,
  running: ContainerState.CONTAINER_RUNNING,
  exited: ContainerState.CONTAINER_EXITED,
} as const;

export const containerState = ({ state }: ContainerStatus): ContainerState => STATES[state];

/** What both messages have in common. */
function basics(container: ContainerStatus) {
  const { config } = container;
  const notes = containerNotes(container);
  return {
    id: container.id,
    metadata: { name: notes?.name ?? container.name, attempt: notes?.attempt ?? 0 },
    image: {
      image: config.image,
      userSpecifiedImage: notes?.userSpecifiedImage ?? '',
      annotations: { ...notes?.imageAnnotations },
    },
    imageId: container.imageId,
    state: containerState(container),
    createdAt: container.createdAt,
    labels: { ...config.labels },
    annotations: { ...config.annotations },
  };
}

/** An element of ListContainers. */
export function containerItem(
  container: ContainerStatus,
): MessageInitShape<typeof ContainerSchema> {
  return {
    ...basics(container),
    podSandboxId: container.podId ?? '',
    imageRef: container.imageId,
  };
}

/**
 * The answer of ContainerStatus.
 * @param imageRef the image as its registry knows it: name@digest
 */
export function containerStatus(
  container: ContainerStatus,
  imageRef: string,
): MessageInitShape<typeof ContainerStatusSchema> {
  const { config, user } = container;
  return {
    ...basics(container),
    imageRef,
    startedAt: container.startedAt,
    finishedAt: container.finishedAt,
    exitCode: container.exitCode,
    reason: container.reason,
    message: container.message,
    logPath: container.logPath,
    mounts: (config.mounts ?? []).map(fromMount),
    resources: { linux: fromOciResources(config.resources ?? {}, config.oomScoreAdj) },
    ...(user && { user: { linux: linuxUser(user) } }),
    stopSignal: signalOf(config.stopSignal),
  };
}

/** What helps people, for crictl's inspect. */
export const containerInfo = (container: ContainerStatus): Record<string, string> => ({
  info: JSON.stringify({
    sandboxID: container.podId,
    pid: container.pid,
    config: container.config,
  }),
});

const linuxUser = ({ uid, gid, additionalGids }: ContainerStatus['user'] & {}) => ({
  uid: BigInt(uid),
  gid: BigInt(gid),
  supplementalGroups: additionalGids.map(BigInt),
});

const PROPAGATION = {
  private: MountPropagation.PROPAGATION_PRIVATE,
  slave: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
  shared: MountPropagation.PROPAGATION_BIDIRECTIONAL,
} as const;

const fromMount = (mount: ContainerMount) => ({
  hostPath: mount.hostPath,
  containerPath: mount.containerPath,
  readonly: mount.readonly ?? false,
  propagation: PROPAGATION[mount.propagation ?? 'private'],
});

function signalOf(name: string | undefined): Signal {
  const key = name?.replace('+', 'PLUS').replace('-', 'MINUS');
  return key !== undefined && key in Signal
    ? Signal[key as keyof typeof Signal]
    : Signal.RUNTIME_DEFAULT;
}
