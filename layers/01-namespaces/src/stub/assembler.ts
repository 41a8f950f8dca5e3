/**
 * The few operations our machine programs are written in, once for all architectures.
 *
 * A program names registers by their role. The roles of a system call overlap on purpose, as they
 * do on the machines: `nr` and `result` are one register on x86-64 (rax), `a0` and `result` are one
 * on arm64 (x0). So a program sets `nr` last and takes `result` away first.
 *
 * `half`, `base`, `op`, `left`, `child` and `flags` survive a system call; `t0` and `t1` may not.
 */
export type Register =
  | 'nr'
  | 'a0'
  | 'a1'
  | 'a2'
  | 'a3'
  | 'a4'
  | 'a5'
  | 'result'
  | 'base'
  | 'half'
  | 'op'
  | 'left'
  | 'child'
  | 'flags'
  | 't0'
  | 't1';

export interface Assembler {
  /** Bytes of code so far. */
  readonly size: number;
  label(name: string): void;
  /** Says in a listing what the instructions that follow are for; becomes no code. */
  note(text: string): void;
  /** Sets a register to a number from 0 to 2^31-1. */
  set(to: Register, value: number): void;
  /** Sets a register to -1. */
  setAllOnes(to: Register): void;
  move(to: Register, from: Register): void;
  add(to: Register, from: Register): void;
  addConstant(to: Register, from: Register, value: number): void;
  subtract(to: Register, from: Register): void;
  decrement(register: Register): void;
  load64(to: Register, address: Register, offset: number): void;
  load32(to: Register, address: Register, offset: number): void;
  store64(address: Register, offset: number, from: Register): void;
  store32(address: Register, offset: number, from: Register): void;
  /** Loads 32 bits such that later loads are not done before it. */
  loadAcquire32(to: Register, address: Register): void;
  /** Stores 32 bits such that earlier stores are seen before it. */
  storeRelease32(address: Register, from: Register): void;
  jump(label: string): void;
  jumpIfZero(register: Register, label: string): void;
  jumpIfNotZero(register: Register, label: string): void;
  jumpIfEqual(register: Register, value: number, label: string): void;
  /** Jumps unless the register holds -4095..-1, the kernel's way to return an errno. */
  jumpIfNotError(register: Register, label: string): void;
  jumpIfBitZeroClear(register: Register, label: string): void;
  syscall(): void;
  /** Tells the processor that this is a waiting loop. */
  relax(): void;
  /** Reads the processor's constant-rate clock; destroys nr, result and the call's arguments. */
  clock(to: Register): void;
  /** The machine code, with every jump resolved. */
  finish(): Uint8Array;
}

/** Labels and the places that jump to them, the same for every architecture. */
export class Labels {
  readonly #positions = new Map<string, number>();
  readonly #uses: { label: string; at: number }[] = [];

  define(label: string, position: number): void {
    if (this.#positions.has(label)) throw new Error(`label ${label} defined twice`);
    this.#positions.set(label, position);
  }

  use(label: string, at: number): void {
    this.#uses.push({ label, at });
  }

  /** Calls `patch` with the place of every jump and the position it leads to. */
  resolve(patch: (at: number, target: number) => void): void {
    for (const { label, at } of this.#uses) {
      const target = this.#positions.get(label);
      if (target === undefined) throw new Error(`label ${label} is not defined`);
      patch(at, target);
    }
  }
}
