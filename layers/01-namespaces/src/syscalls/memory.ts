/**
 * Arguments of a system call as values, and how they become bytes in the memory of the process
 * that executes the call.
 *
 *   number      passed as it is (integers up to 2^53; -1 is all ones)
 *   string      a path or name: copied, NUL-terminated, its address passed
 *   Uint8Array  copied, its address passed
 *   Out         room for the kernel to write to; copied back when the call has returned
 *   Struct      bytes with pointers in them (argv, iovec, msghdr): every pointer's target is
 *               copied and its address filled in
 *   null        the null pointer
 *   LaterResult the result of a call that was deferred before (see Caller.later)
 *
 * The arena is a bump allocator that starts anew with each call: nothing a call was given outlives
 * it, and nothing needs to be freed.
 */
import { StrataError } from '../errors/strata-error.ts';

/** A buffer the kernel fills. `bytes` holds what was there before the call as well (in-out). */
export class Out {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Bytes with pointers: `pointers` maps an offset to what the 8 bytes there shall point to. */
export class Struct {
  readonly bytes: Uint8Array;
  readonly pointers: ReadonlyMap<number, Pointee>;
  constructor(bytes: Uint8Array, pointers: ReadonlyMap<number, Pointee>) {
    this.bytes = bytes;
    this.pointers = pointers;
  }
}

/** What a deferred call will have returned, as an argument of calls that are deferred after it. */
export class LaterResult {
  /** Known once the call was executed. */
  value: number | undefined;
  /** Which operation of the program that is being written it comes from. */
  index = -1;
}

/** A descriptor of the executing process, or what will be one. */
export type Descriptor = number | LaterResult;

export type Pointee = string | Uint8Array | Out | Struct;
export type Arg = number | null | Pointee | LaterResult;

/** A NULL-terminated vector of strings, as execve(2) takes for argv and envp. */
export function stringVector(strings: readonly string[]): Struct {
  const pointers = new Map<number, Pointee>();
  strings.forEach((text, index) => {
    pointers.set(index * 8, text);
  });
  return new Struct(new Uint8Array((strings.length + 1) * 8), pointers);
}

const encoder = new TextEncoder();

export class Arena {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #end: number;
  #next: number;
  #outs: { out: Out; offset: number }[] = [];
  /** The address of `bytes[0]` in the memory of the process that will execute the call. */
  base = 0;

  /**
   * @param bytes memory shared with the executing process
   * @param start first offset the arena may use
   * @param end offset after the last it may use
   */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#start = start;
    this.#end = end;
    this.#next = start;
  }

  reset(): void {
    this.#next = this.#start;
    if (this.#outs.length > 0) this.#outs = [];
  }

  /** Copies an argument into the arena; returns the word to pass in its register. */
  place(arg: Arg): number {
    if (typeof arg === 'number') return arg;
    if (arg === null) return 0;
    if (arg instanceof LaterResult) {
      if (arg.value === undefined) throw new Error('the result of a call that was not executed');
      return arg.value;
    }
    return this.base + this.#store(arg);
  }

  /** Copies every `Out` back to its owner. Call after the system call has returned. */
  collect(): void {
    for (const { out, offset } of this.#outs) {
      out.bytes.set(this.#bytes.subarray(offset, offset + out.bytes.length));
    }
  }

  #store(value: Pointee): number {
    if (typeof value === 'string') return this.#storeString(value);
    if (value instanceof Uint8Array) return this.#storeBytes(value);
    // One Out given twice is one place: in a program, a later call may read what an earlier wrote.
    const placed = this.#outs.find(({ out }) => out === value);
    if (placed) return placed.offset;
    const offset = this.#storeBytes(value.bytes);
    if (value instanceof Out) {
      this.#outs.push({ out: value, offset });
    } else {
      for (const [at, target] of value.pointers) {
        const address = this.base + this.#store(target);
        this.#view.setUint32(offset + at, address >>> 0, true);
        this.#view.setUint32(offset + at + 4, Math.floor(address / 2 ** 32), true);
      }
    }
    return offset;
  }

  #storeString(text: string): number {
    if (text.includes('\0')) {
      throw new StrataError('EINVAL', `string with a NUL byte: ${JSON.stringify(text)}`);
    }
    const offset = this.#next;
    const room = this.#bytes.subarray(offset, this.#end - 1);
    const { read, written } = encoder.encodeInto(text, room);
    if (read < text.length) throw this.#full(text.length);
    this.#bytes[offset + written] = 0;
    this.#advance(written + 1);
    return offset;
  }

  #storeBytes(bytes: Uint8Array): number {
    const offset = this.#next;
    if (offset + bytes.length > this.#end) throw this.#full(bytes.length);
    this.#bytes.set(bytes, offset);
    this.#advance(bytes.length);
    return offset;
  }

  #advance(size: number): void {
    this.#next = (this.#next + size + 7) & ~7;
  }

  #full(wanted: number): StrataError {
    const room = this.#end - this.#start;
    return new StrataError('E2BIG', `arguments need ${wanted} more bytes; ${room} are there`);
  }
}
