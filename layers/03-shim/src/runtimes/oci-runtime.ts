/**
 * The OCI runtime below a container, as the shim uses it.
 *
 *   strata    in this process (strata-runtime.ts): a creation takes 2 ms
 *   command   by runc's command line (command-runtime.ts): runc, crun, runsc, youki, strata-oci itself
 *
 * Whichever it is, the init is the child of a keeper, which writes its exit record and holds its
 * stdio; so what the shim promises (stdio, exit codes, restart) does not depend on the runtime.
 */
import type {
  ExecOptions,
  KeeperOptions,
  LinuxResources,
  ProcessIdentity,
} from '@strata/oci-runtime';

/** Which runtime, and how it is called. Kept in a container's record. */
export interface RuntimeChoice {
  /** Path or name of the program; undefined: strata, in this process. */
  path?: string;
  /** Where it has its state; default: beside the shim's, or for a program its own default. */
  root?: string;
  /** Further global flags, before the command: `--strict`, `--debug`. */
  flags?: readonly string[];
  systemdCgroup?: boolean;
  /** For `create` and `run`. */
  noPivotRoot?: boolean;
  noNewKeyring?: boolean;
}

export interface CreateProcess {
  id: string;
  /** Directory with config.json. */
  bundle: string;
  /** Whether config.json asks for a terminal. */
  terminal: boolean;
  /** Our descriptors that become its 0, 1 and 2. */
  stdio: readonly [number, number, number];
  keeper: KeeperOptions;
}

export interface ExecProcessOptions {
  id: string;
  process: ExecOptions['process'];
  stdio: readonly [number, number, number];
  keeper: KeeperOptions;
}

/** A process with its keeper. */
export interface Kept {
  init: ProcessIdentity;
  keeper: ProcessIdentity;
  /** Our descriptor of its PTY's master, where it has a terminal; the caller closes it. */
  consoleMaster?: number;
}

export interface KeptContainer extends Kept {
  /** Its cgroup directories by hierarchy. */
  cgroups: Record<string, string>;
  /** Starts it, at less cost than `start`, for who starts it at once; then or instead: dispose. */
  held?: Disposable & { start(): void };
}

export interface CheckpointRequest {
  /** Directory for the images. */
  imagePath: string;
  workPath?: string;
  leaveRunning?: boolean;
  /** Flags of `runc checkpoint` that are switches: tcp-established, ext-unix-sk, shell-job, file-locks. */
  switches?: readonly string[];
}

export interface OciRuntimeDriver {
  /** Makes a container that waits for `start`. @throws {StrataError} of the runtime's own */
  create(options: CreateProcess): Promise<KeptContainer>;
  /** Makes and starts one from the images of a checkpoint. */
  restore(options: CreateProcess, checkpoint: CheckpointRequest): Promise<KeptContainer>;
  start(id: string): Promise<void>;
  /** Executes a process, which runs when this returns. */
  exec(options: ExecProcessOptions): Promise<Kept>;
  /** @param options.all every process of the container, not its init alone */
  kill(id: string, signal: number, options: { all?: boolean }): Promise<void>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  update(id: string, resources: LinuxResources): Promise<void>;
  checkpoint(id: string, checkpoint: CheckpointRequest): Promise<void>;
  /** Removes what is left of it, killing it first; nothing where nothing is. */
  remove(id: string): Promise<void>;
  /** Whether it was started; undefined where the runtime does not know it. */
  isStarted(id: string): Promise<boolean | undefined>;
}
