/**
 * The records of containers and execs, as they are on disk, and which shim understands which.
 *
 * Compatibility: a record says its format. A shim reads its own format and all before it (they are
 * brought up to date here, one step per format), and leaves a container of a later format alone: it
 * neither serves nor undoes it. A field that can be left out does not make a new format, and is kept
 * by a shim that does not know it. So shims can be upgraded while containers run, and set back as
 * long as the format has not grown.
 *
 *   format 1   no `format` field; `logPath` for a CRI log; the keeper's descriptors by convention;
 *              journals that hold the bytes of a batch
 *   format 2   `log` with its driver; `held` names the keeper's descriptors; stages hold the bytes
 */
import { join } from 'node:path';
import { bootId, StrataError } from '@strata/namespaces';
import { FIRST_HELD_FD, type ProcessIdentity, type SpecProcess } from '@strata/oci-runtime';
import type { LogFormatName } from '../logs/log-format.ts';
import { type HealthCheck, validateHealthCheck } from '../supervision/health.ts';
import { type RestartPolicy, validateRestartPolicy } from '../supervision/restart-policy.ts';
import type { CreateContainer, ProcessStdio } from './shim-api.ts';

export const RECORD_FORMAT = 2;

export interface StdioPaths {
  /** Empty: /dev/null. */
  stdin: string;
  stdout: string;
  stderr: string;
}

export interface LogSettings {
  path: string;
  format: LogFormatName;
  /**
   * The log is rotated when it has so many bytes; 0: never. Default: 16 MiB, and never for `cri`,
   * whose logs kubelet rotates.
   */
  maxBytes?: number;
  /** How many files there are at most, the log itself included; default 5. */
  maxFiles?: number;
}

/** Numbers of the descriptors that a keeper holds. */
export interface HeldDescriptors {
  /** Read ends of the pipes. */
  stdout?: number;
  stderr?: number;
  /** The master of the PTY, in place of these. */
  master?: number;
  /** Both ends of the stage between stdout or the PTY and the log (logs/stage.ts). */
  stageRead?: number;
  stageWrite?: number;
  /** The same for stderr. */
  stderrStageRead?: number;
  stderrStageWrite?: number;
  /** The caller's FIFOs, for a terminal. */
  relayIn?: number;
  relayOut?: number;
}

/** Of every process that a keeper keeps: a container's init, or an exec. */
export interface ProcessRecord {
  format: typeof RECORD_FORMAT;
  terminal: boolean;
  /** The log that the shim writes, if it does. */
  log?: LogSettings;
  /** FIFOs or file:// URIs, if the caller has its own. */
  stdio?: StdioPaths;
  /** A pipe, instead of /dev/null; `once`: it is closed when the first who wrote to it leaves. */
  stdin?: 'open' | 'once';
  /** The shim reads its output though there is no log: for those who attach. */
  attachable?: boolean;
  init?: ProcessIdentity;
  keeper?: ProcessIdentity;
  held?: HeldDescriptors;
  /** Holds the write end of its stdin, as descriptor 10, until that is closed. */
  stdinHolder?: ProcessIdentity;
  /** Of a keeper of format 1: holds the stages. */
  stages?: { holder: ProcessIdentity; held: HeldDescriptors };
}

export interface ContainerRecord extends ProcessRecord {
  id: string;
  bundle: string;
  /**
   * What a successor has to do:
   *   creating     undo it: its creator died half-way
   *   created      take it over
   *   recreating   it was about to be started again: undo what there is, and start it again
   *   deleting     finish that
   */
  phase: 'creating' | 'created' | 'recreating' | 'deleting';
  /** The container's cgroup directories by hierarchy. */
  cgroups?: Record<string, string>;
  /** Where we have mounted its root, if we have. */
  rootfs?: string;
  /** The start of the machine that all processes here are of. */
  boot: string;
  restart?: RestartPolicy;
  health?: HealthCheck;
  /** With a health check: it is killed where it is not healthy so long after its start. */
  startTimeoutMs?: number;
  /** It was told to start. One that is `created` all the same is started by a successor. */
  isWanted?: boolean;
  /** When it was started the last time: boot-time clock, nanoseconds. */
  startedAtNs?: string;
  /** How often it was started again. */
  restarts?: number;
  /** The delay before it was started again the last time. */
  delayMs?: number;
  /** A caller has stopped it: it is not started again. */
  isStopped?: boolean;
  /** It is being stopped: what it gets, and when (boot-time clock) it is killed. */
  stop?: { signal: number; deadlineNs: string; request?: string };
  /** Ids of the requests that did this, so that they can be repeated. */
  requests?: { create?: string; start?: string; kill?: string; delete?: string };
}

export interface ExecRecord extends ProcessRecord {
  execId: string;
  process: SpecProcess;
  /**
   *   added      it waits to be started
   *   starting   it may run: its keeper is looked for
   *   started    take it over
   */
  phase: 'added' | 'starting' | 'started';
  /** Nobody can ask for it again when its shim has died: a successor kills it. */
  transient?: boolean;
  requests?: { create?: string; start?: string; kill?: string };
}

const DEFAULT_MAX_BYTES = 16 << 20;
const DEFAULT_MAX_FILES = 5;
const MOST_FILES = 1000;

/** The beginning of a record: what was asked for. @throws {StrataError} INVALID_ARGUMENT */
export function processRecord(stdio: ProcessStdio): ProcessRecord {
  const { log, terminal = false, stdio: paths, stdin, attachable } = stdio;
  const hasLog = log !== undefined && log.format !== 'none';
  if (paths && (hasLog || stdin || attachable)) {
    throw invalid('stdio', 'paths of streams do not go with a log, a stdin or attaching', {
      hint: 'the shim does not see what goes through them',
    });
  }
  return {
    format: RECORD_FORMAT,
    terminal,
    ...(hasLog && { log: withLimits(log) }),
    ...(paths && { stdio: paths }),
    ...(stdin && { stdin }),
    ...(attachable && { attachable }),
  };
}

/** The record of a container that is to be made. @throws {StrataError} INVALID_ARGUMENT */
export function containerRecord(options: CreateContainer): ContainerRecord {
  const { id, bundle, rootfs = [], restart, health, startTimeoutMs, requestId } = options;
  if (restart) validateRestartPolicy(restart);
  if (health) validateHealthCheck(health);
  if (startTimeoutMs !== undefined && !(health && startTimeoutMs > 0)) {
    throw invalid('start_timeout_ms', `${startTimeoutMs} needs a health check, and to be positive`);
  }
  return {
    ...processRecord(options),
    ...{ id, bundle, phase: 'creating', boot: bootId() },
    ...(rootfs.length > 0 && { rootfs: join(bundle, 'rootfs') }),
    ...(restart && { restart }),
    ...(health && { health }),
    ...(startTimeoutMs !== undefined && { startTimeoutMs }),
    ...(requestId !== undefined && { requests: { create: requestId } }),
  };
}

function withLimits(log: LogSettings): LogSettings {
  const { maxBytes = log.format === 'cri' ? 0 : DEFAULT_MAX_BYTES } = log;
  const { maxFiles = DEFAULT_MAX_FILES } = log;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 0) {
    throw invalid('log_max_bytes', `${maxBytes} is not a number of bytes`);
  }
  if (!Number.isInteger(maxFiles) || maxFiles < 1 || maxFiles > MOST_FILES) {
    throw invalid('log_max_files', `${maxFiles} is not a number from 1 to ${MOST_FILES}`);
  }
  return { ...log, maxBytes, maxFiles };
}

function invalid(field: string, message: string, more: { hint?: string } = {}): StrataError {
  return new StrataError('INVALID_ARGUMENT', `${field}: ${message}`, { field, ...more });
}

/** @throws {StrataError} UNKNOWN_FORMAT */
export function upgradeRecord(json: unknown, path: string): ProcessRecord | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { format = 1 } = json as { format?: number };
  if (format === RECORD_FORMAT) return json as ProcessRecord;
  if (format === 1) return fromFormat1(json as Format1);
  throw new StrataError('UNKNOWN_FORMAT', `record of format ${format}; ${RECORD_FORMAT} is known`, {
    path,
    hint: 'it was written by a newer shim: start that one',
  });
}

interface Format1 {
  terminal: boolean;
  logPath?: string;
}

function fromFormat1({ logPath, ...rest }: Format1): ProcessRecord {
  const [first, second, third] = [FIRST_HELD_FD, FIRST_HELD_FD + 1, FIRST_HELD_FD + 2];
  const pipes = { stdout: first, stderr: second };
  const terminal = { master: first, stageRead: second, stageWrite: third };
  return {
    ...rest,
    format: RECORD_FORMAT,
    ...(logPath !== undefined && {
      log: { path: logPath, format: 'cri' },
      held: rest.terminal ? terminal : pipes,
    }),
  };
}
