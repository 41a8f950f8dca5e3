/**
 * A process's standard input, output and error, by who reads them.
 *
 *   pipes      the shim, for a log or for those who attach    keeper holds the read ends
 *   terminal   the same, of a PTY that the runtime makes      keeper holds its master, and for a log
 *                                                             the pipe that its bytes go through
 *   paths      the caller, from FIFOs or files                keeper holds the FIFOs open, so that
 *                                                             a reader may go and come back
 *   relay      the caller's FIFOs, but the process has a PTY  keeper holds the master and the FIFOs
 *   none       nobody: /dev/null
 *
 * Standard input is /dev/null, the caller's FIFO, or a pipe. What holds the other side open is not
 * the keeper, which cannot be told to let go, but a process for this alone (holder.ts).
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { localSyscalls, StrataError } from '@strata/namespaces';
import { FIRST_HELD_FD } from '@strata/oci-runtime';
import type { HeldDescriptors, ProcessRecord, StdioPaths } from '../service/records.ts';

/** Our descriptors of what a process reads and writes. */
export interface Channels extends HeldDescriptors {
  /** The write end of its stdin. */
  stdin?: number;
}

export interface Stdio {
  /** For the process: its 0, 1 and 2. */
  readonly process: [number, number, number];
  /** For the keeper: its 10, 11, ... */
  readonly held: number[];
  /** What these are. */
  readonly names: HeldDescriptors;
  /** For the holder of the stdin, where there has to be one. */
  readonly stdinEnd: number | undefined;
  /**
   * Closes what only others need, and gives what we need.
   * @param master the PTY's master side, where the runtime made one
   */
  handedOver(master: number | undefined): Channels;
  /** Closes everything: the creation failed. */
  abandon(): void;
}

/** @throws {StrataError} INVALID_ARGUMENT for paths that cannot be stdio; ENOENT, EACCES */
export function openStdio(record: ProcessRecord): Stdio {
  const parts = new Parts();
  try {
    if (record.terminal) openTerminal(parts, record);
    else if (record.stdio) openPaths(parts, record.stdio);
    else openPipes(parts, record);
    return parts;
  } catch (error) {
    parts.abandon();
    throw error;
  }
}

class Parts implements Stdio {
  readonly process: [number, number, number] = [-1, -1, -1];
  readonly held: number[] = [];
  readonly names: HeldDescriptors = {};
  stdinEnd: number | undefined;
  readonly #ours: Channels = {};
  readonly #all = new Set<number>();

  /** Takes charge of a descriptor. */
  own(fd: number): number {
    this.#all.add(fd);
    return fd;
  }

  /** Leaves a descriptor to the keeper, and where it has a name, to us. */
  hold(fd: number, name?: keyof HeldDescriptors): void {
    if (name) {
      this.names[name] = FIRST_HELD_FD + this.held.length;
      this.#ours[name] = fd;
    }
    this.held.push(fd);
  }

  pipe(): { read: number; write: number } {
    const [read, write] = localSyscalls().pipe2();
    return { read: this.own(read), write: this.own(write) };
  }

  nothing(): number {
    return this.own(openSync('/dev/null', 'r+'));
  }

  /** A pipe that we write to. */
  openStdin(): void {
    const { read, write } = this.pipe();
    this.process[0] = read;
    this.stdinEnd = write;
    this.#ours.stdin = write;
  }

  handedOver(master: number | undefined): Channels {
    const ours = { ...this.#ours, ...(master !== undefined && { master }) };
    const kept = new Set(Object.values(ours));
    for (const fd of this.#all) if (!kept.has(fd)) closeSync(fd);
    return ours;
  }

  abandon(): void {
    for (const fd of this.#all) closeSync(fd);
  }
}

function openPipes(parts: Parts, record: ProcessRecord): void {
  if (record.stdin) parts.openStdin();
  else parts.process[0] = parts.nothing();
  const isRead = record.log !== undefined || record.attachable === true;
  for (const [index, name] of [
    [1, 'stdout'],
    [2, 'stderr'],
  ] as const) {
    if (isRead) {
      const { read, write } = parts.pipe();
      parts.process[index] = write;
      parts.hold(read, name);
    } else parts.process[index] = parts.nothing();
  }
  if (!record.log) return;
  openStage(parts, ['stageRead', 'stageWrite']);
  openStage(parts, ['stderrStageRead', 'stderrStageWrite']);
}

function openStage(parts: Parts, names: [keyof HeldDescriptors, keyof HeldDescriptors]): void {
  const { read, write } = parts.pipe();
  parts.hold(read, names[0]);
  parts.hold(write, names[1]);
}

function openTerminal(parts: Parts, record: ProcessRecord): void {
  const nothing = parts.nothing();
  parts.process.fill(nothing);
  // In this place the keeper will hold the master.
  parts.hold(nothing);
  parts.names.master = FIRST_HELD_FD;
  if (record.log) openStage(parts, ['stageRead', 'stageWrite']);
  else if (record.stdio) {
    const { stdin, stdout } = record.stdio;
    if (stdin !== '') parts.hold(parts.own(openBoth(stdin, 'stdin')), 'relayIn');
    if (stdout !== '') parts.hold(parts.own(openBoth(stdout, 'stdout')), 'relayOut');
  }
}

function openPaths(parts: Parts, paths: StdioPaths): void {
  for (const [index, name] of (['stdin', 'stdout', 'stderr'] as const).entries()) {
    const path = paths[name];
    if (path === '') {
      parts.process[index] = parts.nothing();
    } else if (path.startsWith('file://')) {
      parts.process[index] = parts.own(openSync(path.slice('file://'.length), 'a', 0o640));
    } else {
      const both = parts.own(openBoth(path, name));
      parts.process[index] = parts.own(openSync(`/proc/self/fd/${both}`, index === 0 ? 'r' : 'w'));
      if (index === 0) parts.stdinEnd = parts.own(openSync(`/proc/self/fd/${both}`, 'w'));
      else parts.hold(both);
    }
  }
}

/** Opened for both, a FIFO does not make us wait for its other side. */
function openBoth(path: string, name: string): number {
  const scheme = /^([a-z+]+):\/\//.exec(path)?.[1];
  if (scheme !== undefined || !path.startsWith('/')) throw unusable(path, name);
  const fd = openSync(path, 'r+');
  if (fstatSync(fd).isFIFO()) return fd;
  closeSync(fd);
  throw unusable(path, name);
}

function unusable(path: string, name: string): StrataError {
  const message = `${name} cannot be ${JSON.stringify(path)}`;
  const hint = 'give the path of a FIFO, or a file:// URI';
  return new StrataError('INVALID_ARGUMENT', message, { field: name, hint });
}
