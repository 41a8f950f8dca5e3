/**
 * What a caller asks of a pod, and what it is told about one. A pod is namespaces held by a pause
 * process, an address, and a parent for the cgroups of its containers.
 *
 *   creating ──▶ ready ──▶ stopped ──▶ (removed)
 */
import type { LinuxResources } from '@strata/oci-runtime';

export interface PodConfig {
  name: string;
  namespace?: string;
  uid?: string;
  attempt?: number;
  hostname?: string;
  /** Directory that containers' relative log paths start from. */
  logDirectory?: string;
  labels?: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
  dns?: { servers?: readonly string[]; searches?: readonly string[]; options?: readonly string[] };
  /** 'host' shares the host's; 'pod' (default) is new. For pid, 'container' (default): none shared. */
  namespaces?: {
    network?: 'pod' | 'host';
    ipc?: 'pod' | 'host';
    pid?: 'pod' | 'container' | 'host';
  };
  sysctls?: Readonly<Record<string, string>>;
  /** Absolute cgroup path; default /strata. */
  cgroupParent?: string;
  resources?: LinuxResources;
  privileged?: boolean;
  /** Kept and given back; the manager does not look at it. */
  metadata?: Readonly<Record<string, unknown>>;
}

export type PodState = 'creating' | 'ready' | 'stopped';

export interface PodStatus {
  /** 64 hexadecimal digits. */
  id: string;
  config: PodConfig;
  state: PodState;
  /** Nanoseconds of the Unix epoch. */
  createdAt: bigint;
  /** Addresses without prefix length, the primary one first; none with the host's network. */
  ips: readonly string[];
  /** The pause process; 0 unless ready. */
  pid: number;
  /** Path of the network namespace, '' with the host's. */
  netnsPath: string;
}
