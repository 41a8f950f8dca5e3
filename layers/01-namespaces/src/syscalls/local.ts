/** The executor that runs a system call in this very thread. */

import { ENOSYS } from '../errors/errno.ts';
import { MAP_ANONYMOUS, PROT_READ, PROT_WRITE } from './constants.ts';
import type { Executor } from './executor.ts';
import { lastErrno, memoryAt, rawSyscall } from './libc.ts';
import { Arena, type Arg } from './memory.ts';
import { type SyscallName, syscallNumber } from './numbers.ts';

/** Virtual size of the argument arena; pages are only taken when used. */
const ARENA_BYTES = 4 << 20;
const MAP_PRIVATE = 2;

export class LocalExecutor implements Executor {
  readonly kind = 'local';
  readonly #arena: Arena;

  constructor() {
    const mmap = syscallNumber('mmap')!;
    const address = rawSyscall(
      mmap,
      0,
      ARENA_BYTES,
      PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS,
      -1,
      0,
    );
    if (address === -1) throw new Error(`mmap of ${ARENA_BYTES} bytes: errno ${lastErrno()}`);
    this.#arena = new Arena(memoryAt(address, ARENA_BYTES), 0, ARENA_BYTES);
    this.#arena.base = address;
  }

  invoke(name: SyscallName, args: readonly Arg[]): number {
    const number = syscallNumber(name);
    if (number === undefined) return -ENOSYS;
    const arena = this.#arena;
    arena.reset();
    const word = (index: number): number => {
      const arg = args[index];
      return arg === undefined ? 0 : arena.place(arg);
    };
    const result = rawSyscall(number, word(0), word(1), word(2), word(3), word(4), word(5));
    if (result === -1) return -lastErrno();
    arena.collect();
    return result;
  }
}

let shared: LocalExecutor | undefined;

/** The process's one local executor, made on first use. */
export function localExecutor(): LocalExecutor {
  shared ??= new LocalExecutor();
  return shared;
}
