/** What a shim does, whether it is in this process (`Shim`) or behind a socket (`ShimClient`). */
import type { ExecOptions } from '@strata/oci-runtime';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { StdioPaths } from './container-store.ts';

export type ContainerStatus = 'created' | 'running' | 'stopped';

export interface CreateContainer {
  id: string;
  /** Directory with config.json. */
  bundle: string;
  /** Where the container's output goes; default: nowhere. */
  log?: { path: string; format: 'cri' | 'none' };
  /** The config's process.terminal. */
  terminal?: boolean;
  /** Starts it too; where that fails, nothing is left of it. */
  start?: boolean;
  /** The caller's own FIFOs or file:// URIs instead of a log. */
  stdio?: StdioPaths;
}

export interface ContainerState {
  id: string;
  bundle: string;
  status: ContainerStatus;
  /** The init's, also after it has ended. */
  pid: number;
  terminal: boolean;
  logPath?: string;
  /** Set when stopped. */
  exit?: ExitInfo;
}

export interface ExecRequest {
  id: string;
  /** Names the process in errors and traces. */
  execId: string;
  process: ExecOptions['process'];
  /** After this, the process group is killed and the call fails; default: no limit. */
  timeoutMs?: number;
}

export interface ExecResult {
  exitStatus: number;
  stdout: Uint8Array;
  stderr: Uint8Array;
  /** More was printed than the 16 MiB of each stream that are returned. */
  truncated: boolean;
}

export interface ShimEvent {
  kind: 'create' | 'start' | 'exit' | 'oom' | 'delete';
  id: string;
  pid: number;
  /** With `exit`, `oom` and `delete`. */
  exit?: ExitInfo;
}

export interface ShimApi {
  /** Makes a container that waits for `start`, unless it is to be started here. @throws {StrataError} ALREADY_EXISTS, INVALID_* */
  create(options: CreateContainer): Promise<{ pid: number }>;
  start(id: string): Promise<void>;
  /** @param all every process of the container, not its init alone */
  kill(id: string, signal: number, all?: boolean): Promise<void>;
  /** Runs a process to its end. @throws {StrataError} DEADLINE_EXCEEDED, NOT_RUNNING */
  exec(request: ExecRequest): Promise<ExecResult>;
  /** The exit, once it has come; everything printed before it is in the log then. */
  wait(id: string): Promise<ExitInfo>;
  state(id: string): Promise<ContainerState>;
  list(): Promise<ContainerState[]>;
  /** Processes of the container, by pid. */
  pids(id: string): Promise<number[]>;
  /** Goes on with the log in a new file at its path: the old one was renamed. */
  reopenLog(id: string): Promise<void>;
  /**
   * Removes a stopped (with `force`: any) container and all that is left of it.
   * @returns its exit; undefined where it was never started
   */
  delete(id: string, options?: { force?: boolean }): Promise<ExitInfo | undefined>;
  /** @returns a function that ends the subscription */
  subscribe(listener: (event: ShimEvent) => void): () => void;
}
