/** Node's side of a mailbox: writes requests, wakes the stub, waits for the answer. */
import { ENOSYS } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { memoryAt, rawSyscall } from '../syscalls/libc.ts';
import { Arena, type Arg, LaterResult } from '../syscalls/memory.ts';
import { type SyscallName, syscallNumber } from '../syscalls/numbers.ts';
import {
  HEADER,
  OPERATION,
  OPERATION_BYTES,
  OPERATIONS_AT,
  type Part,
  STATE_DONE,
  STATE_REQUEST,
} from './mailbox-layout.ts';

/** One system call of a program. */
export interface Operation {
  name: SyscallName;
  args: readonly Arg[];
  /** Go on with the next operation even if this one fails. */
  goOn?: boolean;
  /** What operations after this one may have as an argument. */
  result?: LaterResult | undefined;
  /** The part that the child of this clone serves. */
  childPart?: Part;
}

const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const WORD = 4;
/** Looks at the state before sleeping: some 20 µs, enough for most system calls. */
const SPIN_LOOKS = 1500;
/** How long to sleep between two looks at whether the stub is still alive. */
const LIVENESS_MS = 20;
const FUTEX = syscallNumber('futex')!;
/**
 * How much of a part is looked at until something larger is to be said. V8 counts a window as
 * memory held, whatever of it is in use: windows on whole parts, 23 MB a container, made it collect
 * garbage at every start.
 */
const FIRST_WINDOW_BYTES = 128 << 10;

/** The two 32-bit halves of a word; numbers beyond 32 bits stay exact up to 2^53. */
function putWord(words: Int32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = Math.floor(value / 2 ** 32);
}

export class MailboxPart {
  readonly #address: number;
  readonly #size: number;
  #words: Int32Array;
  #bytes: Uint8Array;
  readonly #patience = timespec(LIVENESS_MS);
  #arena: Arena;
  #arenaStart = 0;

  /**
   * @param mapping address of the whole mailbox in this process
   * @param part the range of it that this object speaks through
   */
  constructor(mapping: number, part: Part) {
    this.#address = mapping + part.start;
    this.#size = part.end - part.start;
    this.#bytes = memoryAt(this.#address, Math.min(this.#size, FIRST_WINDOW_BYTES));
    this.#words = new Int32Array(this.#bytes.buffer);
    this.#arena = this.#arenaAfter(1);
  }

  /** Writes a program into the part without starting it. */
  prepare(operations: readonly Operation[]): void {
    const isWhole = this.#bytes.length === this.#size;
    try {
      this.#prepare(operations);
    } catch (error) {
      if (isWhole || !(error instanceof StrataError && error.code === 'E2BIG')) throw error;
      this.#bytes = memoryAt(this.#address, this.#size);
      this.#words = new Int32Array(this.#bytes.buffer);
      this.#arenaStart = 0;
      this.#prepare(operations);
    }
  }

  #prepare(operations: readonly Operation[]): void {
    const words = this.#words;
    const arena = this.#arenaAfter(operations.length);
    arena.reset();
    arena.base = this.#remoteAddress();
    words[HEADER.count / WORD] = operations.length;
    words[HEADER.completed / WORD] = 0;
    operations.forEach((operation, index) => {
      if (operation.result) operation.result.index = index;
      this.#write(operations, index, arena);
    });
  }

  /** Where the result of an earlier operation of the program will be. */
  #sourceOf(result: LaterResult, operations: readonly Operation[]): number {
    // Only a bug can ask for the result of what is not in the program.
    if (operations[result.index]?.result !== result) throw new Error('no such result');
    return OPERATIONS_AT + result.index * OPERATION_BYTES + OPERATION.result;
  }

  #write(operations: readonly Operation[], position: number, arena: Arena): void {
    const operation = operations[position]!;
    const words = this.#words;
    const offset = OPERATIONS_AT + position * OPERATION_BYTES;
    const at = offset / WORD;
    const number = syscallNumber(operation.name);
    putWord(words, at, number ?? -1);
    for (let index = 0; index < 6; index++) {
      const arg = operation.args[index];
      let source = offset + OPERATION.arguments + index * 8;
      if (arg instanceof LaterResult && arg.value === undefined) {
        source = this.#sourceOf(arg, operations);
      } else {
        putWord(words, source / WORD, arg === undefined ? 0 : arena.place(arg));
      }
      putWord(words, at + (OPERATION.sources + index * 8) / WORD, source);
    }
    putWord(words, at + OPERATION.result / WORD, -ENOSYS);
    putWord(words, at + OPERATION.child / WORD, operation.childPart?.start ?? 0);
    words[at + OPERATION.flags / WORD] = operation.goOn ? 1 : 0;
  }

  /** Forgets who served this part before. */
  clear(): void {
    this.#words.fill(0, 0, OPERATIONS_AT / WORD);
  }

  /** Declares the prepared program complete, for a process that will start it later. */
  arm(): void {
    Atomics.store(this.#words, HEADER.armed / WORD, 1);
  }

  get armed(): boolean {
    return Atomics.load(this.#words, HEADER.armed / WORD) === 1;
  }

  /** Starts what `prepare` wrote. */
  post(): void {
    Atomics.store(this.#words, 0, STATE_REQUEST);
    rawSyscall(FUTEX, this.#address, FUTEX_WAKE, 1, 0, 0, 0);
  }

  /** Whether the stub has finished the program. */
  get done(): boolean {
    return Atomics.load(this.#words, 0) === STATE_DONE;
  }

  /** Whether a program was posted and is not finished (or the stub has become something else). */
  get posted(): boolean {
    return Atomics.load(this.#words, 0) === STATE_REQUEST;
  }

  /**
   * Waits until the program is finished.
   * @returns false when `isAlive` said no: the stub ended before it could answer
   */
  await(isAlive: () => boolean): boolean {
    for (let look = 0; look < SPIN_LOOKS; look++) if (this.done) return true;
    for (;;) {
      rawSyscall(FUTEX, this.#address, FUTEX_WAIT, STATE_REQUEST, this.#patience, 0, 0);
      if (this.done) return true;
      // The stub may finish between the look and its end, so look once more after it is dead.
      if (!isAlive()) return this.done;
    }
  }

  /** The raw result of operation `index`; -ENOSYS for one that was not executed. */
  result(index: number): number {
    const at = (OPERATIONS_AT + index * OPERATION_BYTES + OPERATION.result) / WORD;
    return this.#words[at + 1]! * 2 ** 32 + (this.#words[at]! >>> 0);
  }

  /** How many operations were executed (an error that stops does not count). */
  get completed(): number {
    return this.#words[HEADER.completed / WORD]!;
  }

  /** Copies what the kernel wrote into `Out` arguments back to their owners. */
  collect(): void {
    this.#arena.collect();
  }

  /** Waits until the process that serves this part has said where it is. */
  awaitAddress(isAlive: () => boolean): boolean {
    for (let look = 0; look < SPIN_LOOKS; look++) if (this.#remoteAddress() !== 0) return true;
    while (this.#remoteAddress() === 0) {
      rawSyscall(FUTEX, this.#address + HEADER.address, FUTEX_WAIT, 0, this.#patience, 0, 0);
      if (!isAlive()) return this.#remoteAddress() !== 0;
    }
    return true;
  }

  #remoteAddress(): number {
    const low = Atomics.load(this.#words, HEADER.address / WORD);
    const high = Atomics.load(this.#words, HEADER.address / WORD + 1);
    return high * 2 ** 32 + (low >>> 0);
  }

  #arenaAfter(operations: number): Arena {
    const start = OPERATIONS_AT + operations * OPERATION_BYTES;
    if (start >= this.#bytes.length) {
      throw new StrataError('E2BIG', `a program of ${operations} system calls is too long`);
    }
    if (start !== this.#arenaStart) {
      this.#arena = new Arena(this.#bytes, start, this.#bytes.length);
      this.#arenaStart = start;
    }
    return this.#arena;
  }
}

let timespecAddress: number | undefined;

/** The address of a timespec in memory of its own; all waits are of one length. */
function timespec(milliseconds: number): number {
  if (timespecAddress === undefined) {
    const page = rawSyscall(syscallNumber('mmap')!, 0, 4096, 3, 0x22, -1, 0);
    if (page === -1) throw new Error('mmap of one page failed');
    new DataView(memoryAt(page, 4096).buffer).setUint32(8, milliseconds * 1e6, true);
    timespecAddress = page;
  }
  return timespecAddress;
}
