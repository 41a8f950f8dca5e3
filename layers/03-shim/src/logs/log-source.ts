/** Where log bytes come from: the read end of a pipe, or the master side of a terminal. */
import { EAGAIN, EIO, localSyscalls } from '@strata/namespaces';
import { setNonBlocking } from '../stdio/stdin.ts';
import type { Journal, Taken } from './journal.ts';
import type { LogSource } from './log-stream.ts';

export interface OwnedSource extends LogSource {
  /** Becomes readable when there is something to take. */
  readonly fd: number;
  /** All descriptors of the source; closed by the log at the end. */
  readonly descriptors: readonly number[];
}

/** A pipe: its bytes go to the journal inside the kernel. */
export class PipeSource implements OwnedSource {
  readonly fd: number;
  readonly descriptors: readonly number[];
  constructor(fd: number) {
    this.fd = fd;
    this.descriptors = [fd];
  }

  take(journal: Journal): Taken {
    return journal.take(this.fd);
  }
}

const TERMINAL_BYTES = 4096;
const SPLICE_F_NONBLOCK = 2;

/**
 * A terminal's master side. It cannot be spliced to a file (splice(2) wants a pipe on one side), so
 * it is spliced to a pipe that the keeper holds, and from there as any other pipe: the bytes are in
 * the terminal, in the pipe or in the journal at any time, whatever happens to us.
 *
 * The end of a terminal is EIO: no process has its other side open any more.
 */
export class TerminalSource implements OwnedSource {
  readonly fd: number;
  readonly descriptors: readonly number[];
  readonly #stage: { read: number; write: number };

  /** @param stage both ends of the keeper's pipe */
  constructor(fd: number, stage: { read: number; write: number }) {
    setNonBlocking(fd);
    this.fd = fd;
    this.descriptors = [fd, stage.read, stage.write];
    this.#stage = stage;
  }

  take(journal: Journal): Taken {
    const sys = localSyscalls();
    const args = [this.fd, null, this.#stage.write, null, TERMINAL_BYTES, SPLICE_F_NONBLOCK];
    const moved = sys.attempt('splice', ...args);
    const taken = journal.take(this.#stage.read);
    // What a predecessor left in the pipe comes first, whatever the terminal says.
    if (typeof taken === 'number') return taken;
    if (moved === -EAGAIN) return 'empty';
    if (moved === -EIO || moved === 0) return 'end';
    throw sys.failure('splice', -moved, args);
  }
}
