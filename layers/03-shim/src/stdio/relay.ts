/**
 * A terminal whose user is behind FIFOs (containerd's way):
 *
 *   FIFO of the input ──splice──▶ master ══ slave: the process
 *   FIFO of the output ◀──splice── master
 *
 * splice(2) takes from one side what it gives to the other, in one system call, so a shim that is
 * killed takes nothing with it. Who does not read its FIFO makes this process wait, and nobody else.
 */
import {
  EAGAIN,
  EIO,
  localSyscalls,
  type PollEvents,
  type Watch,
  watchDescriptor,
} from '@strata/namespaces';
import type { ProcessOutput } from './output.ts';
import { setNonBlocking } from './stdin.ts';

const SPLICE_F_NONBLOCK = 2;
const PIECE_BYTES = 4096;
const DRAIN_PIECES = 256;

type Moved = 'some' | 'nothing' | 'end';

/** One direction: waits for its source, then for room at its target, and so on. */
class Direction implements Disposable {
  readonly #from: number;
  readonly #to: number;
  readonly #onEnd: () => void;
  #watch: Watch | undefined;
  ended = false;

  /** @param from, to: descriptors of its own, as Node's event loop takes each number once */
  constructor(from: number, to: number, onEnd: () => void) {
    const sys = localSyscalls();
    this.#from = sys.duplicateFrom(from, 3);
    this.#to = sys.duplicateFrom(to, 3);
    this.#onEnd = onEnd;
  }

  watch(): void {
    this.#await(this.#from, { readable: true });
  }

  #await(fd: number, interest: PollEvents): void {
    this.#watch?.close();
    this.#watch = undefined;
    if (this.ended) return;
    this.#watch = watchDescriptor(fd, interest, () => {
      if (this.move() === 'nothing') this.#turn(interest);
    });
  }

  /** Readiness of one side that moves nothing: it is the other side that has to be waited for. */
  #turn(interest: PollEvents): void {
    if (interest.readable) this.#await(this.#to, { writable: true });
    else this.#await(this.#from, { readable: true });
  }

  move(): Moved {
    if (this.ended) return 'end';
    const sys = localSyscalls();
    const args = [this.#from, null, this.#to, null, PIECE_BYTES, SPLICE_F_NONBLOCK];
    const count = sys.attempt('splice', ...args);
    if (count > 0) return 'some';
    if (count === -EAGAIN) return 'nothing';
    if (count !== 0 && count !== -EIO) throw sys.failure('splice', -count, args);
    this[Symbol.dispose]();
    this.#onEnd();
    return 'end';
  }

  [Symbol.dispose](): void {
    if (this.ended) return;
    this.ended = true;
    this.#watch?.close();
    this.#watch = undefined;
    localSyscalls().close(this.#from);
    localSyscalls().close(this.#to);
  }
}

export class Relay implements ProcessOutput {
  readonly #descriptors: number[];
  readonly #input: Direction | undefined;
  readonly #output: Direction | undefined;

  /** @param options.input, options.output FIFOs, opened for both; closed at the end, as the master */
  constructor(options: {
    master: number;
    input: number | undefined;
    output: number | undefined;
    onEnded: () => void;
  }) {
    const { master, input, output } = options;
    this.#descriptors = [master, input, output].filter((fd) => fd !== undefined);
    for (const fd of this.#descriptors) setNonBlocking(fd);
    if (input !== undefined) this.#input = new Direction(input, master, () => {});
    if (output !== undefined) this.#output = new Direction(master, output, options.onEnded);
  }

  watch(): void {
    this.#input?.watch();
    this.#output?.watch();
  }

  drain(): void {
    for (let pieces = 0; pieces < DRAIN_PIECES; pieces++) {
      if (this.#output?.move() !== 'some') return;
    }
  }

  get ended(): boolean {
    return this.#output?.ended ?? true;
  }

  finish(): boolean {
    this.drain();
    this[Symbol.dispose]();
    return true;
  }

  [Symbol.dispose](): void {
    this.#input?.[Symbol.dispose]();
    this.#output?.[Symbol.dispose]();
    for (const fd of this.#descriptors.splice(0)) localSyscalls().close(fd);
  }
}
