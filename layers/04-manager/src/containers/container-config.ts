/**
 * What a caller asks of a container, and what it is told about one.
 *
 * The life of a container:
 *
 *   creating ──▶ created ──▶ running ──▶ exited ──▶ (removed)
 *      └── undone by the next `Manager.open` if its creator was killed
 */
import type { LinuxResources, LinuxSeccomp } from '@strata/oci-runtime';

export interface ContainerMount {
  /** On the host: a file or directory that is there. */
  hostPath: string;
  /** Absolute, inside. */
  containerPath: string;
  readonly?: boolean;
  propagation?: 'private' | 'slave' | 'shared';
}

export interface ContainerDevice {
  hostPath: string;
  containerPath: string;
  /** Of 'r', 'w', 'm'. */
  permissions: string;
}

export interface SecurityConfig {
  /** All capabilities and devices, nothing masked, no seccomp filter. */
  privileged?: boolean;
  readonlyRootfs?: boolean;
  /** Default false, as Docker's. */
  noNewPrivileges?: boolean;
  /** Names with or without CAP_; 'ALL'. Relative to the default 14. */
  addCapabilities?: readonly string[];
  dropCapabilities?: readonly string[];
  /** 'default': the containers' profile; a section of its own otherwise. */
  seccomp?: 'default' | 'unconfined' | LinuxSeccomp;
  /** Default: the usual list. */
  maskedPaths?: readonly string[];
  readonlyPaths?: readonly string[];
}

/** Whose namespace of a kind a container is in. */
export type NamespaceMode = 'pod' | 'container' | 'host';

export interface ContainerConfig {
  /** The image's name, id or digest; it must be in the store. */
  image: string;
  /** Unique among all containers; taken until the container is removed. Default: its id. */
  name?: string;
  /** The pod it belongs to; without one it has namespaces (and an address) of its own. */
  podId?: string;
  /** Instead of the image's ENTRYPOINT (and then its CMD does not apply). */
  command?: readonly string[];
  /** Instead of the image's CMD. */
  args?: readonly string[];
  /** 'K=V', over the image's. */
  env?: readonly string[];
  workingDir?: string;
  /** 'user', 'uid', 'user:group', 'uid:gid'; default: the image's. */
  user?: string;
  supplementalGroups?: readonly number[];
  terminal?: boolean;
  mounts?: readonly ContainerMount[];
  devices?: readonly ContainerDevice[];
  labels?: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
  /** Absolute path of the log (CRI format); default: one in the manager's directory. */
  logPath?: string;
  security?: SecurityConfig;
  /** Default: those of the pod for network and ipc, its own for pid. */
  namespaces?: { network?: NamespaceMode; ipc?: NamespaceMode; pid?: NamespaceMode };
  resources?: LinuxResources;
  oomScoreAdj?: number;
  /** Default: the image's, or SIGTERM. */
  stopSignal?: string;
  hostname?: string;
  /** Without a pod: 'bridge' (default), 'none' or 'host'. */
  network?: 'bridge' | 'none' | 'host';
  /** Kept and given back; the manager does not look at it. */
  metadata?: Readonly<Record<string, unknown>>;
}

export type ContainerState = 'creating' | 'created' | 'running' | 'exited';

export interface ContainerStatus {
  /** 64 hexadecimal digits. */
  id: string;
  name: string;
  podId: string | undefined;
  state: ContainerState;
  config: ContainerConfig;
  /** The image's id: digest of its configuration. */
  imageId: string;
  /** Nanoseconds of the Unix epoch; 0n: not yet. */
  createdAt: bigint;
  startedAt: bigint;
  finishedAt: bigint;
  exitCode: number;
  /** 'Completed', 'Error', 'OOMKilled', 'StartError', or ''. */
  reason: string;
  message: string;
  /** 0 unless it runs. */
  pid: number;
  logPath: string;
  /** Uid and gids the process got. */
  user: { uid: number; gid: number; additionalGids: number[] } | undefined;
}
