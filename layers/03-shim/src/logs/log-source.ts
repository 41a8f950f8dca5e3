/** Where log bytes come from: the read end of a pipe, or the master side of a terminal. */
import { EAGAIN, EIO, localSyscalls, Out } from '@strata/namespaces';
import type { Journal, Taken } from './journal.ts';
import type { LogSource } from './log-stream.ts';

/** A pipe: its bytes go to the journal inside the kernel. */
export class PipeSource implements LogSource {
  readonly fd: number;
  constructor(fd: number) {
    this.fd = fd;
  }

  take(journal: Journal): Taken {
    return journal.take(this.fd);
  }
}

const terminalBytes = new Uint8Array(4096);

/**
 * A terminal's master side. It cannot be spliced to a file (splice(2) wants a pipe on one side), so
 * it is spliced to a pipe that the keeper holds, and from there as any other pipe: the bytes are in
 * the terminal, in the pipe or in the journal at any time, whatever happens to us.
 *
 * The end of a terminal is EIO: no process has its other side open any more.
 */
export class TerminalSource implements LogSource {
  readonly fd: number;
  readonly #stage: { read: number; write: number } | undefined;

  /** @param stage both ends of the keeper's pipe; without it bytes pass through our memory */
  constructor(fd: number, stage?: { read: number; write: number }) {
    this.fd = fd;
    this.#stage = stage;
  }

  take(journal: Journal): Taken {
    return this.#stage ? this.#takeStaged(journal, this.#stage) : this.#takeRead(journal);
  }

  #takeStaged(journal: Journal, stage: { read: number; write: number }): Taken {
    const sys = localSyscalls();
    const moved = sys.attempt('splice', this.fd, null, stage.write, null, 4096, 2);
    const taken = journal.take(stage.read);
    if (typeof taken === 'number') return taken;
    return moved === -EAGAIN ? 'empty' : 'end';
  }

  #takeRead(journal: Journal): Taken {
    const count = localSyscalls().attempt('read', this.fd, new Out(terminalBytes), 4096);
    if (count === -EAGAIN) return 'empty';
    if (count === -EIO || count === 0) return 'end';
    if (count < 0) throw localSyscalls().failure('read', -count, [this.fd]);
    journal.put(terminalBytes.subarray(0, count));
    return count;
  }
}
