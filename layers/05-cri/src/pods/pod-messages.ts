/** What is told about pods: from the manager's status to the interface's messages. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PodConfig, PodStatus } from '@strata/manager';
import { NamespaceMode } from '../generated/runtime/v1/namespaces_pb.ts';
import {
  type PodSandboxSchema,
  PodSandboxState,
  type PodSandboxStatusSchema,
} from '../generated/runtime/v1/sandbox_pb.ts';
import { NOTES, type PodNotes } from './pod-config.ts';

/** What we noted of a pod when it was made; undefined for one that is not a kubelet's. */
export const podNotes = (pod: PodStatus): PodNotes | undefined =>
  pod.config.metadata?.[NOTES] as PodNotes | undefined;

export const podState = (pod: PodStatus): PodSandboxState =>
  pod.state === 'ready' ? PodSandboxState.SANDBOX_READY : PodSandboxState.SANDBOX_NOTREADY;

/** What both messages have in common: all of the shorter one. */
function basics(pod: PodStatus) {
  const { config } = pod;
  return {
    id: pod.id,
    metadata: metadata(config),
    state: podState(pod),
    createdAt: pod.createdAt,
    labels: { ...config.labels },
    annotations: { ...config.annotations },
    runtimeHandler: podNotes(pod)?.runtimeHandler ?? '',
  };
}

/** An element of ListPodSandbox. */
export const podItem = (pod: PodStatus): MessageInitShape<typeof PodSandboxSchema> => basics(pod);

/** The answer of PodSandboxStatus. */
export function podStatus(pod: PodStatus): MessageInitShape<typeof PodSandboxStatusSchema> {
  const [ip = '', ...others] = pod.ips;
  return {
    ...basics(pod),
    network: { ip, additionalIps: others.map((other) => ({ ip: other })) },
    linux: { namespaces: { options: namespaceOptions(pod.config) } },
  };
}

/** What helps people, for crictl's inspectp. */
export const podInfo = (pod: PodStatus): Record<string, string> => ({
  info: JSON.stringify({ pid: pod.pid, netnsPath: pod.netnsPath, config: pod.config }),
});

const metadata = ({ name, namespace = '', uid = '', attempt = 0 }: PodConfig) => ({
  name,
  namespace,
  uid,
  attempt,
});

const MODES = {
  pod: NamespaceMode.POD,
  container: NamespaceMode.CONTAINER,
  host: NamespaceMode.NODE,
} as const;

const namespaceOptions = ({ namespaces = {} }: PodConfig) => ({
  network: MODES[namespaces.network ?? 'pod'],
  ipc: MODES[namespaces.ipc ?? 'pod'],
  pid: MODES[namespaces.pid ?? 'container'],
});
