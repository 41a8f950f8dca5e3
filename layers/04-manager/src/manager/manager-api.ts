/**
 * The manager as its callers see it: `strata`, and the CRI server of layer 05.
 *
 *   await using manager = await Manager.open({ root: '/var/lib/strata', state: '/run/strata' });
 *   const image = await manager.images.pull('registry.example/app:1');
 *   const pod = await manager.pods.run({ name: 'web', namespace: 'default', uid: '1' });
 *   const container = await manager.containers.create({ image: 'app:1', podId: pod.id });
 *   await manager.containers.start(container.id);
 *
 * Ids may be given as any unique prefix, containers also by name. Unknown ones: NOT_FOUND. Stop and
 * remove succeed where there is nothing left to do.
 */
import type { ContainerConfig, ContainerStatus } from '../containers/container-config.ts';
import type { PodConfig, PodStatus } from '../pods/pod-config.ts';

export interface ExecRequest {
  command: readonly string[];
  timeoutMs?: number;
  env?: readonly string[];
  user?: string;
  workingDir?: string;
}

export interface ExecOutcome {
  exitStatus: number;
  stdout: Uint8Array;
  stderr: Uint8Array;
}

export interface ContainersApi {
  /** @throws {StrataError} NOT_FOUND (image, pod), ALREADY_EXISTS (name), INVALID_* */
  create(config: ContainerConfig): Promise<ContainerStatus>;
  /** @throws {StrataError} INVALID_STATUS; what the runtime says of a program that cannot start */
  start(id: string): Promise<void>;
  /** Sends the stop signal; after `graceSeconds` SIGKILL. Returns when it has ended. */
  stop(id: string, graceSeconds: number): Promise<void>;
  kill(id: string, signal: number): Promise<void>;
  /** Stops it first if it runs. */
  remove(id: string): Promise<void>;
  status(id: string): Promise<ContainerStatus>;
  list(): Promise<ContainerStatus[]>;
  /** The exit code, once it has ended. */
  wait(id: string): Promise<number>;
  /** @throws {StrataError} DEADLINE_EXCEEDED, INVALID_STATUS */
  execSync(id: string, request: ExecRequest): Promise<ExecOutcome>;
  /** Goes on in a new log file: the old one was renamed. */
  reopenLog(id: string): Promise<void>;
}

export interface PodsApi {
  /** @throws {StrataError} ALREADY_EXISTS for the same name, namespace, uid and attempt */
  run(config: PodConfig): Promise<PodStatus>;
  /** Stops its containers, ends its namespaces, gives its address back. */
  stop(id: string): Promise<void>;
  /** Stops it and removes it and its containers. */
  remove(id: string): Promise<void>;
  status(id: string): Promise<PodStatus>;
  list(): Promise<PodStatus[]>;
}
