/**
 * Output without a log: read as it comes and passed on to those who are attached. What nobody is
 * attached for is thrown away; where somebody is behind, the process waits.
 */
import { EAGAIN, EIO, localSyscalls, Out, type Watch, watchDescriptor } from '@strata/namespaces';
import type { Hub } from '../attach/hub.ts';
import type { StreamName } from '../logs/log-format.ts';
import type { ProcessOutput } from './output.ts';
import { setNonBlocking } from './stdin.ts';

const READ_BYTES = 64 << 10;
/** A drain's most reads: what a pipe of 1 MB can hold, twice. */
const DRAIN_READS = 32;
const scratch = new Uint8Array(READ_BYTES);

interface Stream {
  name: StreamName;
  fd: number;
  watch: Watch | undefined;
  ended: boolean;
}

export class DirectOutput implements ProcessOutput {
  readonly #hub: Hub;
  readonly #streams: Stream[];
  readonly #onEnded: () => void;
  #watching = false;

  /** @param options.streams descriptors of pipes, or of a terminal's master; closed at the end */
  constructor(options: { streams: [StreamName, number][]; hub: Hub; onEnded: () => void }) {
    this.#hub = options.hub;
    this.#onEnded = options.onEnded;
    this.#streams = options.streams.map(([name, fd]) => {
      setNonBlocking(fd);
      return { name, fd, watch: undefined, ended: false };
    });
    this.#hub.onRoom = () => this.#watchAll();
  }

  watch(): void {
    this.#watching = true;
    this.#watchAll();
  }

  #watchAll(): void {
    if (!this.#watching || this.#hub.isBlocked) return;
    for (const stream of this.#streams) {
      if (stream.ended || stream.watch) continue;
      stream.watch = watchDescriptor(stream.fd, { readable: true }, () => {
        this.#take(stream);
        if (this.#hub.isBlocked) for (const each of this.#streams) unwatch(each);
      });
    }
  }

  /** Reads once; whether there may be more. */
  #take(stream: Stream): boolean {
    if (stream.ended) return false;
    const count = localSyscalls().attempt('read', stream.fd, new Out(scratch), READ_BYTES);
    if (count === -EAGAIN) return false;
    if (count <= 0) {
      // EIO is the end of a terminal: no process has its other side open any more.
      if (count < 0 && count !== -EIO) throw localSyscalls().failure('read', -count, [stream.fd]);
      this.#end(stream);
      return false;
    }
    this.#hub.publish(stream.name, scratch.subarray(0, count));
    return true;
  }

  #end(stream: Stream): void {
    unwatch(stream);
    localSyscalls().close(stream.fd);
    stream.ended = true;
    if (this.ended) this.#onEnded();
  }

  drain(): void {
    for (const stream of this.#streams) {
      for (let reads = 0; reads < DRAIN_READS && this.#take(stream); reads++);
    }
  }

  get ended(): boolean {
    return this.#streams.every(({ ended }) => ended);
  }

  finish(): boolean {
    this.drain();
    for (const stream of this.#streams) if (!stream.ended) this.#end(stream);
    return true;
  }

  [Symbol.dispose](): void {
    this.#watching = false;
    this.#hub.onRoom = undefined;
    for (const stream of this.#streams) {
      unwatch(stream);
      if (!stream.ended) localSyscalls().close(stream.fd);
      stream.ended = true;
    }
  }
}

function unwatch(stream: Stream): void {
  stream.watch?.close();
  stream.watch = undefined;
}
