/**
 * What is written to a process's standard input: a queue before a pipe or a terminal.
 *
 *   await stdin.write(bytes)   resolves when there is room for more, so a writer that waits for it
 *                              can never make us hold more than its own last piece
 *   stdin.close()              end of file, once what was written before has been read
 *
 * A process that does not read makes its writers wait, and nobody else.
 */
import {
  EAGAIN,
  EIO,
  localSyscalls,
  O_NONBLOCK,
  type Watch,
  watchDescriptor,
} from '@strata/namespaces';

const EPIPE = 32;
const F_GETFL = 3;
const F_SETFL = 4;
/** Up to here a writer need not wait. */
const ROOM_BYTES = 64 << 10;
const PIECE_BYTES = 64 << 10;

/** Makes reads and writes return at once, for all who share the open file. */
export function setNonBlocking(fd: number): void {
  const sys = localSyscalls();
  sys.call('fcntl', fd, F_SETFL, sys.call('fcntl', fd, F_GETFL, 0) | O_NONBLOCK);
}

/** A way to a process's standard input. */
export interface ProcessInput extends Disposable {
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** Of a process that reads its caller's FIFO: what is ours of it is its end alone. */
export const endOnly = (close: () => void): ProcessInput => ({
  write: () => Promise.resolve(),
  close,
  [Symbol.dispose]() {},
});

export class Stdin implements ProcessInput {
  readonly #fd: number;
  readonly #onClosed: () => void;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #watch: Watch | undefined;
  #waiting: (() => void)[] = [];
  #state: 'open' | 'closing' | 'closed' = 'open';

  /**
   * @param fd a pipe's write end or a terminal's master; a duplicate is used, for Node's event loop
   *   takes each number once
   * @param onClosed does what else has to be done for the process to read an end of file
   */
  constructor(fd: number, onClosed: () => void) {
    this.#fd = localSyscalls().duplicateFrom(fd, 3);
    setNonBlocking(this.#fd);
    this.#onClosed = onClosed;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Takes bytes; what comes after `close` is dropped, as for a program that reads no more. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#state !== 'open' || bytes.length === 0) return Promise.resolve();
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    this.#flush();
    if (this.#queued < ROOM_BYTES) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#flush();
  }

  #flush(): void {
    const sys = localSyscalls();
    for (let first = this.#queue[0]; first; first = this.#queue[0]) {
      const piece = first.subarray(0, PIECE_BYTES);
      const count = sys.attempt('write', this.#fd, piece, piece.length);
      if (count === -EAGAIN) break;
      if (count === -EPIPE || count === -EIO) this.#drop();
      else if (count < 0) throw sys.failure('write', -count, [this.#fd, piece.length]);
      else this.#written(first, count);
    }
    this.#settle();
  }

  #written(first: Uint8Array, count: number): void {
    this.#queued -= count;
    if (count === first.length) this.#queue.shift();
    else this.#queue[0] = first.subarray(count);
  }

  /** Nobody reads any more. */
  #drop(): void {
    this.#queue = [];
    this.#queued = 0;
  }

  #settle(): void {
    if (this.#queued > 0) {
      this.#watch ??= watchDescriptor(this.#fd, { writable: true }, () => this.#flush());
    } else {
      this.#unwatch();
      if (this.#state === 'closing') this.#finish();
    }
    if (this.#queued >= ROOM_BYTES) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #finish(): void {
    this.#state = 'closed';
    localSyscalls().close(this.#fd);
    this.#onClosed();
  }

  #unwatch(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  /** Lets go of it as it is; the process's input stays open. */
  [Symbol.dispose](): void {
    this.#unwatch();
    this.#drop();
    for (const wake of this.#waiting) wake();
    this.#waiting = [];
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    localSyscalls().close(this.#fd);
  }
}
