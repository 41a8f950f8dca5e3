/**
 * The stage of a stream: a pipe that holds the batch under way, and nothing else.
 *
 *   container's pipe ──splice──▶ stage ──tee──▶ (scratch pipe) ──read──▶ memory
 *                                  └──splice──▶ /dev/null, when the batch is in the log
 *
 * splice(2) between pipes moves pages from one to the other, in one system call that SIGKILL cannot
 * interrupt half-way: bytes are in one of them at any time, and never in both. tee(2) lets us look at
 * them without taking them. The keeper holds both ends, so what is in it survives us; the next shim
 * finds there just the bytes of the batch that we were at.
 *
 * A read(2) into memory could never have that: the process can be killed between it and the write.
 * And nothing is copied but once, into the memory where it is made into records.
 */
import { openSync, readSync } from 'node:fs';
import { EAGAIN, EIO, localSyscalls } from '@strata/namespaces';
import { setNonBlocking } from '../stdio/stdin.ts';
import { logInput } from './record-formatter.ts';

/** Taken at once: what a pipe holds by default. */
export const TAKE_BYTES = 64 << 10;
const SPLICE_F_NONBLOCK = 2;
const F_SETPIPE_SZ = 1031;
const SCRATCH_BYTES = 1 << 20;

export type Taken = number | 'empty' | 'end';

/** Both ends of the pipe. */
export interface StageEnds {
  read: number;
  write: number;
}

/** Where a stream's bytes come from: the read end of a pipe, or the master side of a terminal. */
export interface LogSource {
  /** Becomes readable when there is something to take. */
  readonly fd: number;
  readonly stage: Stage;
  /** Moves what is there onto the stage, which is empty. */
  take(): Taken;
  /** All descriptors of the source; closed by the log at the end. */
  readonly descriptors: readonly number[];
}

export class Stage {
  readonly ends: StageEnds;

  constructor(ends: StageEnds) {
    this.ends = ends;
  }

  /** Moves up to `bytes` from a descriptor onto the stage; the raw result of splice(2). */
  fill(fd: number, bytes: number): number {
    const args = [fd, null, this.ends.write, null, bytes, SPLICE_F_NONBLOCK];
    return localSyscalls().attempt('splice', ...args);
  }

  /** Copies what is on the stage into the common input buffer, from `at` on; returns how much it is. */
  peek(at: number): number {
    const { read, write } = scratch();
    const sys = localSyscalls();
    const count = sys.attempt('tee', this.ends.read, write, TAKE_BYTES, SPLICE_F_NONBLOCK);
    if (count === -EAGAIN) return 0;
    if (count < 0) throw sys.failure('tee', -count, [this.ends.read, write]);
    for (let done = 0; done < count; ) {
      done += readSync(read, logInput, at + done, count - done, null);
    }
    return count;
  }

  /** Throws away what is on the stage: it is in the log. */
  clear(): void {
    const sys = localSyscalls();
    const args = [this.ends.read, null, nowhere(), null, TAKE_BYTES, SPLICE_F_NONBLOCK];
    for (let count = 1; count > 0; ) {
      count = sys.attempt('splice', ...args);
      if (count < 0 && count !== -EAGAIN) throw sys.failure('splice', -count, args);
    }
  }
}

export class PipeSource implements LogSource {
  readonly fd: number;
  readonly stage: Stage;
  readonly descriptors: readonly number[];

  constructor(fd: number, stage: StageEnds) {
    this.fd = fd;
    this.stage = new Stage(stage);
    this.descriptors = [fd, stage.read, stage.write];
  }

  take(): Taken {
    const count = this.stage.fill(this.fd, TAKE_BYTES);
    if (count === -EAGAIN) return 'empty';
    if (count < 0) throw localSyscalls().failure('splice', -count, [this.fd]);
    return count === 0 ? 'end' : count;
  }
}

const TERMINAL_BYTES = 4096;
const TERMINAL_PIECES = 12;

/** A terminal gives 4 kB at most at once. Its end is EIO: nobody has its other side open any more. */
export class TerminalSource implements LogSource {
  readonly fd: number;
  readonly stage: Stage;
  readonly descriptors: readonly number[];

  constructor(fd: number, stage: StageEnds) {
    setNonBlocking(fd);
    this.fd = fd;
    this.stage = new Stage(stage);
    this.descriptors = [fd, stage.read, stage.write];
  }

  take(): Taken {
    let taken = 0;
    for (let piece = 0; piece < TERMINAL_PIECES; piece++) {
      const count = this.stage.fill(this.fd, TERMINAL_BYTES);
      if (count > 0) taken += count;
      else if (taken > 0) break;
      else if (count === -EAGAIN) return 'empty';
      else if (count === 0 || count === -EIO) return 'end';
      else throw localSyscalls().failure('splice', -count, [this.fd]);
    }
    return taken;
  }
}

let scratchEnds: StageEnds | undefined;

/** A pipe that is empty but for the moment of a look. */
function scratch(): StageEnds {
  if (scratchEnds) return scratchEnds;
  const sys = localSyscalls();
  const [read, write] = sys.pipe2();
  // At least what any stage can hold; where that is not allowed the default is as large as theirs.
  sys.attempt('fcntl', write, F_SETPIPE_SZ, SCRATCH_BYTES);
  scratchEnds = { read, write };
  return scratchEnds;
}

let nowhereFd: number | undefined;

function nowhere(): number {
  nowhereFd ??= openSync('/dev/null', 'w');
  return nowhereFd;
}
