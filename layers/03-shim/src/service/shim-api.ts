/** What a shim does, whether it is in this process (`Shim`) or behind a socket (`ShimClient`). */
import type { CgroupStats, WindowSize } from '@strata/namespaces';
import type { LinuxResources, SpecProcess } from '@strata/oci-runtime';
import type { Attached, AttachOptions } from '../attach/attachment.ts';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { RootfsMount } from '../rootfs/rootfs-mounts.ts';
import type { Health, HealthCheck, HealthStatus } from '../supervision/health.ts';
import type { RestartPolicy } from '../supervision/restart-policy.ts';
import type { LogSettings, StdioPaths } from './records.ts';

export type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'stopped';
export type ExecStatus = 'added' | 'running' | 'stopped';

/** What a process, a container's first or an exec, reads and writes. */
export interface ProcessStdio {
  /** Where its output goes; default: nowhere. */
  log?: LogSettings | { path: string; format: 'none' };
  /** Its standard streams are a PTY: as the config's process.terminal. */
  terminal?: boolean;
  /** The caller's own FIFOs or file:// URIs instead of a log. */
  stdio?: StdioPaths;
  /**
   * A pipe as its stdin, which stays open while shims and clients come and go. `once`: it is closed
   * when the first client that could write leaves. Default: /dev/null.
   */
  stdin?: 'open' | 'once';
  /** One can attach to its output though there is no log; default where it has a terminal. */
  attachable?: boolean;
}

/** A change that may be asked for twice: the second time it is only answered. */
export interface Repeatable {
  /** Unique; `ShimClient` gives each of its calls one. */
  requestId?: string | undefined;
}

export interface CreateContainer extends ProcessStdio, Repeatable {
  id: string;
  /** Directory with config.json. */
  bundle: string;
  /** Mounted on `rootfs` in the bundle, one over the other, until the container is deleted. */
  rootfs?: readonly RootfsMount[];
  /** Starts it too; where that fails, nothing is left of it. */
  start?: boolean;
  /** Default: it is not started again. */
  restart?: RestartPolicy;
  health?: HealthCheck;
  /** With a health check: it is killed where it is not healthy so long after its start. */
  startTimeoutMs?: number;
}

export interface ContainerState {
  id: string;
  bundle: string;
  status: ContainerStatus;
  /** The init's, also after it has ended. */
  pid: number;
  terminal: boolean;
  logPath?: string;
  /** The caller's own, if it gave any. Only from a shim in this process. */
  stdio?: StdioPaths;
  /** Set when stopped. */
  exit?: ExitInfo;
  /** Set while it waits to be started again. */
  lastExit?: ExitInfo;
  /** How often it was started again. */
  restarts: number;
  /** With a health check, from its first result on. */
  health?: Health;
}

export interface AddExec extends ProcessStdio, Repeatable {
  id: string;
  execId: string;
  process: SpecProcess;
}

export interface ExecState {
  /** The container's. */
  id: string;
  execId: string;
  status: ExecStatus;
  /** 0 before it is started. */
  pid: number;
  terminal: boolean;
  /** As of a container. */
  stdio?: StdioPaths;
  /** Set when stopped. */
  exit?: ExitInfo;
}

/** An exec that is run to its end, its output captured. */
export interface ExecRequest {
  id: string;
  /** Names the process in errors and traces, and for as long as it runs. */
  execId: string;
  process: SpecProcess;
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

export interface ProcessInContainer {
  pid: number;
  /** The exec that it is; not there for the init, nor for what these have started. */
  execId?: string;
}

export interface StopContainer extends Repeatable {
  /** Default: SIGTERM. */
  signal?: number;
  /** Default: 10 s. */
  timeoutMs?: number;
}

export interface DeleteOptions extends Repeatable {
  /** Also where it runs. */
  force?: boolean;
}

/** A process by name: a container's init, or an exec in it. */
export interface ProcessOptions {
  execId?: string;
}

export type ShimEventKind =
  | 'create'
  | 'start'
  | 'exit'
  | 'oom'
  | 'delete'
  | 'exec-added'
  | 'exec-started'
  | 'exec-deleted'
  | 'paused'
  | 'resumed'
  | 'updated'
  | 'checkpointed'
  | 'health'
  | 'start-timeout';

export interface ShimEvent {
  kind: ShimEventKind;
  /** The container's. */
  id: string;
  /** Where it is about an exec: `exec-*`, and the `exit` of one. */
  execId?: string;
  pid: number;
  /** With `exit`, `delete` and `exec-deleted`; with `oom` where the container has ended. */
  exit?: ExitInfo;
  /** With the `exit` of a container that is started again after so long. */
  restartInMs?: number;
  /** With `health`: what it has changed to. */
  health?: HealthStatus;
}

export interface ShimApi {
  /** Makes a container that waits for `start`, unless it is to be started here. @throws {StrataError} ALREADY_EXISTS, INVALID_* */
  create(options: CreateContainer): Promise<{ pid: number }>;
  start(id: string, options?: Repeatable): Promise<void>;
  /**
   * Sends a signal. A container that ends of it is started again if its policy says so.
   * @param all every process of the container, not its init alone
   */
  kill(id: string, signal: number, all?: boolean, options?: Repeatable): Promise<void>;
  /**
   * Ends it: a signal, and SIGKILL to all its processes where it has not ended in time. It is not
   * started again, whatever its policy. A shim that is killed meanwhile leaves that to the next.
   */
  stop(id: string, options?: StopContainer): Promise<ExitInfo>;
  /**
   * The exit, once it has come; everything printed before it is in the log then. Of a container that
   * is started again, the last one.
   */
  wait(id: string): Promise<ExitInfo>;
  state(id: string): Promise<ContainerState>;
  list(): Promise<ContainerState[]>;
  /**
   * Removes a stopped (with `force`: any) container and all that is left of it.
   * @returns its exit; undefined where it was never started
   */
  delete(id: string, options?: DeleteOptions): Promise<ExitInfo | undefined>;

  /** Freezes all processes of the container; it has no effect on one that is paused. */
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  /** Sets limits; what is not given stays as it is. */
  update(id: string, resources: LinuxResources): Promise<void>;
  /** What its processes have used. */
  stats(id: string): Promise<CgroupStats>;
  /** Processes of the container, by pid. */
  pids(id: string): Promise<number[]>;
  /** The same, with the execs named. */
  processes(id: string): Promise<ProcessInContainer[]>;

  /** Runs a process to its end. @throws {StrataError} DEADLINE_EXCEEDED, NOT_RUNNING */
  exec(request: ExecRequest): Promise<ExecResult>;
  /** Makes an exec that waits for `startExec`, so that one can attach before. @throws {StrataError} ALREADY_EXISTS */
  addExec(request: AddExec): Promise<void>;
  startExec(id: string, execId: string, options?: Repeatable): Promise<{ pid: number }>;
  execState(id: string, execId: string): Promise<ExecState>;
  listExecs(id: string): Promise<ExecState[]>;
  killExec(id: string, execId: string, signal: number, options?: Repeatable): Promise<void>;
  /** As `wait`; may be called before `startExec`. */
  waitExec(id: string, execId: string): Promise<ExitInfo>;
  /** As `delete`, for an exec. */
  deleteExec(id: string, execId: string, options?: DeleteOptions): Promise<ExitInfo | undefined>;

  /** Sets the size of its terminal. @throws {StrataError} NO_TERMINAL */
  resize(id: string, size: WindowSize, options?: ProcessOptions): Promise<void>;
  /** End of file for its stdin, once what was written is read. */
  closeStdin(id: string, options?: ProcessOptions): Promise<void>;
  /** Output from now on, and a way to its input. @see attach/attachment.ts */
  attach(id: string, options?: AttachOptions): Promise<Attached>;
  /** Goes on with the log in a new file at its path: the old one was renamed. */
  reopenLog(id: string): Promise<void>;

  /**
   * @param onGap hears that events may have been missed: the shim was replaced by another, or this
   *   subscriber has left 10,000 events unread. What has become of the containers, `list` tells
   * @returns a function that ends the subscription
   */
  subscribe(listener: (event: ShimEvent) => void, onGap?: () => void): () => void;
}
