/**
 * x86-64 machine code.
 *
 * An instruction is REX prefix (W = 64-bit operands, R/B = bit 3 of the two register numbers),
 * opcode, ModRM (mode, reg, rm) and what follows. Displacements and jump distances always take
 * 32 bits: the programs are a few hundred bytes, and one form of each instruction is easier to
 * check than four.
 *
 * @see Intel SDM volume 2, chapter 2 (instruction format)
 */
import { type Assembler, Labels, type Register } from './assembler.ts';

const NUMBER: Record<Register, number> = {
  nr: 0, // rax
  result: 0, // rax
  a0: 7, // rdi
  a1: 6, // rsi
  a2: 2, // rdx
  a3: 10, // r10
  a4: 8, // r8
  a5: 9, // r9
  base: 15,
  half: 3, // rbx
  op: 12,
  left: 13,
  child: 5, // rbp
  flags: 14,
  t0: 1, // rcx, which syscall overwrites
  t1: 11, // r11, which syscall overwrites
};
const RAX = 0;
const RDX = 2;
const JUMP_IF = { equal: 0x84, notEqual: 0x85, below: 0x82 } as const;

export class X86Assembler implements Assembler {
  readonly #code: number[] = [];
  readonly #labels = new Labels();

  get size(): number {
    return this.#code.length;
  }
  note(_text: string): void {}
  label(name: string): void {
    this.#labels.define(name, this.#code.length);
  }
  set(to: Register, value: number): void {
    const number = NUMBER[to];
    if (number >= 8) this.#emit(0x41);
    this.#emit(0xb8 | (number & 7), ...word(value));
  }
  setAllOnes(to: Register): void {
    this.#wide(0xc7, 0, NUMBER[to]);
    this.#emit(...word(-1));
  }
  move(to: Register, from: Register): void {
    this.#wide(0x89, NUMBER[from], NUMBER[to]);
  }
  add(to: Register, from: Register): void {
    this.#wide(0x01, NUMBER[from], NUMBER[to]);
  }
  addConstant(to: Register, from: Register, value: number): void {
    this.#memory({ opcode: 0x8d, wide: true }, NUMBER[to], NUMBER[from], value);
  }
  subtract(to: Register, from: Register): void {
    this.#wide(0x29, NUMBER[from], NUMBER[to]);
  }
  decrement(register: Register): void {
    this.#wide(0xff, 1, NUMBER[register]);
  }
  load64(to: Register, address: Register, offset: number): void {
    this.#memory({ opcode: 0x8b, wide: true }, NUMBER[to], NUMBER[address], offset);
  }
  load32(to: Register, address: Register, offset: number): void {
    this.#memory({ opcode: 0x8b, wide: false }, NUMBER[to], NUMBER[address], offset);
  }
  store64(address: Register, offset: number, from: Register): void {
    this.#memory({ opcode: 0x89, wide: true }, NUMBER[from], NUMBER[address], offset);
  }
  store32(address: Register, offset: number, from: Register): void {
    this.#memory({ opcode: 0x89, wide: false }, NUMBER[from], NUMBER[address], offset);
  }
  // x86-64 keeps loads in order with loads and stores in order with stores (SDM volume 3, 9.2.2).
  loadAcquire32(to: Register, address: Register): void {
    this.load32(to, address, 0);
  }
  storeRelease32(address: Register, from: Register): void {
    this.store32(address, 0, from);
  }
  jump(label: string): void {
    this.#emit(0xe9);
    this.#distance(label);
  }
  jumpIfZero(register: Register, label: string): void {
    this.#wide(0x85, NUMBER[register], NUMBER[register]);
    this.#jumpIf(JUMP_IF.equal, label);
  }
  jumpIfNotZero(register: Register, label: string): void {
    this.#wide(0x85, NUMBER[register], NUMBER[register]);
    this.#jumpIf(JUMP_IF.notEqual, label);
  }
  jumpIfEqual(register: Register, value: number, label: string): void {
    this.#wide(0x81, 7, NUMBER[register]);
    this.#emit(...word(value));
    this.#jumpIf(JUMP_IF.equal, label);
  }
  jumpIfNotError(register: Register, label: string): void {
    this.#wide(0x81, 7, NUMBER[register]);
    this.#emit(...word(-4095));
    this.#jumpIf(JUMP_IF.below, label);
  }
  jumpIfBitZeroClear(register: Register, label: string): void {
    this.#wide(0xf7, 0, NUMBER[register]);
    this.#emit(...word(1));
    this.#jumpIf(JUMP_IF.equal, label);
  }
  syscall(): void {
    this.#emit(0x0f, 0x05);
  }
  relax(): void {
    this.#emit(0xf3, 0x90);
  }
  clock(to: Register): void {
    this.#emit(0x0f, 0x31); // rdtsc: edx:eax
    this.#wide(0xc1, 4, RDX);
    this.#emit(32); // shl rdx, 32
    this.#wide(0x09, RDX, RAX);
    this.#wide(0x89, RAX, NUMBER[to]);
  }
  finish(): Uint8Array {
    const code = Uint8Array.from(this.#code);
    const view = new DataView(code.buffer);
    this.#labels.resolve((at, target) => view.setInt32(at, target - (at + 4), true));
    return code;
  }

  #emit(...bytes: number[]): void {
    this.#code.push(...bytes);
  }
  /** opcode with two 64-bit registers. */
  #wide(opcode: number, reg: number, rm: number): void {
    this.#emit(0x48 | ((reg >> 3) << 2) | (rm >> 3), opcode, 0xc0 | ((reg & 7) << 3) | (rm & 7));
  }
  /** opcode with a register and [base + 32-bit displacement]. */
  #memory(
    form: { opcode: number; wide: boolean },
    reg: number,
    base: number,
    offset: number,
  ): void {
    this.#emit((form.wide ? 0x48 : 0x40) | ((reg >> 3) << 2) | (base >> 3), form.opcode);
    this.#emit(0x80 | ((reg & 7) << 3) | (base & 7));
    if ((base & 7) === 4) this.#emit(0x24); // rsp and r12 as a base need a SIB byte
    this.#emit(...word(offset));
  }
  #jumpIf(condition: number, label: string): void {
    this.#emit(0x0f, condition);
    this.#distance(label);
  }
  #distance(label: string): void {
    this.#labels.use(label, this.#code.length);
    this.#emit(0, 0, 0, 0);
  }
}

function word(value: number): [number, number, number, number] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}
