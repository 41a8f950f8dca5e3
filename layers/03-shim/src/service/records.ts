/**
 * The records of containers and execs, as they are on disk, and which shim understands which.
 *
 * Compatibility: a record says its format. A shim reads its own format and all before it (they are
 * brought up to date here, one step per format), and leaves a container of a later format alone: it
 * neither serves nor undoes it. A field that can be left out does not make a new format, and is kept
 * by a shim that does not know it. So shims can be upgraded while containers run, and set back as
 * long as the format has not grown.
 *
 *   format 1   no `format` field; `logPath` for a CRI log; the keeper's descriptors by convention
 *   format 2   `log` with its driver; `held` names the keeper's descriptors
 */
import { StrataError } from '@strata/namespaces';
import { FIRST_HELD_FD, type ProcessIdentity, type SpecProcess } from '@strata/oci-runtime';
import type { ProcessStdio } from './shim-api.ts';

export const RECORD_FORMAT = 2;

export interface StdioPaths {
  /** Empty: /dev/null. */
  stdin: string;
  stdout: string;
  stderr: string;
}

export type LogFormat = 'cri';

export interface LogSettings {
  path: string;
  format: LogFormat;
}

/** Numbers of the descriptors that a keeper holds. */
export interface HeldDescriptors {
  /** Read ends of the pipes. */
  stdout?: number;
  stderr?: number;
  /** The master of the PTY, and both ends of the pipe between it and the log. */
  master?: number;
  stageRead?: number;
  stageWrite?: number;
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
}

export interface ContainerRecord extends ProcessRecord {
  id: string;
  bundle: string;
  /**
   * What a successor has to do:
   *   creating   undo it: its creator died half-way
   *   created    take it over
   *   deleting   finish that
   */
  phase: 'creating' | 'created' | 'deleting';
  /** The container's cgroup directories by hierarchy. */
  cgroups?: Record<string, string>;
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
}

/** The beginning of a record: what was asked for. */
export function processRecord(stdio: ProcessStdio): ProcessRecord {
  const { log, terminal = false, stdio: paths, stdin, attachable } = stdio;
  return {
    format: RECORD_FORMAT,
    terminal,
    ...(log && log.format !== 'none' && { log }),
    ...(paths && { stdio: paths }),
    ...(stdin && { stdin }),
    ...(attachable && { attachable }),
  };
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
