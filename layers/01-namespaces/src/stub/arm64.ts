/**
 * arm64 machine code: every instruction is one 32-bit word.
 *
 * The constants below are the fixed bits of each instruction; registers and immediates are or-ed
 * into their fields.
 *
 * @see Arm Architecture Reference Manual for A-profile, C4 (instruction encodings)
 */
import { type Assembler, Labels, type Register } from './assembler.ts';

const NUMBER: Record<Register, number> = {
  nr: 8,
  result: 0,
  a0: 0,
  a1: 1,
  a2: 2,
  a3: 3,
  a4: 4,
  a5: 5,
  base: 19,
  half: 20,
  op: 21,
  left: 22,
  child: 23,
  flags: 24,
  t0: 9,
  t1: 10,
};
const ZERO = 31;

const MOVZ = 0xd2800000;
const MOVK_16 = 0xf2a00000;
const MOVN = 0x92800000;
const ORR = 0xaa000000;
const ADD = 0x8b000000;
const ADD_IMMEDIATE = 0x91000000;
const SUB = 0xcb000000;
const SUB_IMMEDIATE = 0xd1000000;
const SUBS_IMMEDIATE = 0xf1000000;
const ADDS_IMMEDIATE = 0xb1000000;
const LDR_64 = 0xf9400000;
const LDR_32 = 0xb9400000;
const STR_64 = 0xf9000000;
const STR_32 = 0xb9000000;
const LDAR_32 = 0x88dffc00;
const STLR_32 = 0x889ffc00;
const B = 0x14000000;
const B_COND = 0x54000000;
const CBZ = 0xb4000000;
const CBNZ = 0xb5000000;
const TBZ = 0x36000000;
const SVC_0 = 0xd4000001;
const YIELD = 0xd503203f;
const MRS_CNTVCT = 0xd53be040;
const EQUAL = 0;
const CARRY_CLEAR = 3;

export class Arm64Assembler implements Assembler {
  readonly #code: number[] = [];
  readonly #labels = new Labels();

  get size(): number {
    return this.#code.length * 4;
  }
  note(_text: string): void {}
  label(name: string): void {
    this.#labels.define(name, this.#code.length);
  }
  set(to: Register, value: number): void {
    this.#emit(MOVZ | ((value & 0xffff) << 5) | NUMBER[to]);
    if (value > 0xffff) this.#emit(MOVK_16 | ((value >>> 16) << 5) | NUMBER[to]);
  }
  setAllOnes(to: Register): void {
    this.#emit(MOVN | NUMBER[to]);
  }
  move(to: Register, from: Register): void {
    this.#emit(ORR | (NUMBER[from] << 16) | (ZERO << 5) | NUMBER[to]);
  }
  add(to: Register, from: Register): void {
    this.#emit(ADD | (NUMBER[from] << 16) | (NUMBER[to] << 5) | NUMBER[to]);
  }
  addConstant(to: Register, from: Register, value: number): void {
    this.#emit(ADD_IMMEDIATE | (value << 10) | (NUMBER[from] << 5) | NUMBER[to]);
  }
  subtract(to: Register, from: Register): void {
    this.#emit(SUB | (NUMBER[from] << 16) | (NUMBER[to] << 5) | NUMBER[to]);
  }
  decrement(register: Register): void {
    this.#emit(SUB_IMMEDIATE | (1 << 10) | (NUMBER[register] << 5) | NUMBER[register]);
  }
  load64(to: Register, address: Register, offset: number): void {
    this.#emit(LDR_64 | ((offset / 8) << 10) | (NUMBER[address] << 5) | NUMBER[to]);
  }
  load32(to: Register, address: Register, offset: number): void {
    this.#emit(LDR_32 | ((offset / 4) << 10) | (NUMBER[address] << 5) | NUMBER[to]);
  }
  store64(address: Register, offset: number, from: Register): void {
    this.#emit(STR_64 | ((offset / 8) << 10) | (NUMBER[address] << 5) | NUMBER[from]);
  }
  store32(address: Register, offset: number, from: Register): void {
    this.#emit(STR_32 | ((offset / 4) << 10) | (NUMBER[address] << 5) | NUMBER[from]);
  }
  loadAcquire32(to: Register, address: Register): void {
    this.#emit(LDAR_32 | (NUMBER[address] << 5) | NUMBER[to]);
  }
  storeRelease32(address: Register, from: Register): void {
    this.#emit(STLR_32 | (NUMBER[address] << 5) | NUMBER[from]);
  }
  jump(label: string): void {
    this.#jump(B, label);
  }
  jumpIfZero(register: Register, label: string): void {
    this.#jump(CBZ | NUMBER[register], label);
  }
  jumpIfNotZero(register: Register, label: string): void {
    this.#jump(CBNZ | NUMBER[register], label);
  }
  jumpIfEqual(register: Register, value: number, label: string): void {
    this.#emit(SUBS_IMMEDIATE | (value << 10) | (NUMBER[register] << 5) | ZERO);
    this.#jump(B_COND | EQUAL, label);
  }
  jumpIfNotError(register: Register, label: string): void {
    // Adding 4095 carries exactly when the register holds -4095 or more, unsigned.
    this.#emit(ADDS_IMMEDIATE | (4095 << 10) | (NUMBER[register] << 5) | ZERO);
    this.#jump(B_COND | CARRY_CLEAR, label);
  }
  jumpIfBitZeroClear(register: Register, label: string): void {
    this.#jump(TBZ | NUMBER[register], label);
  }
  syscall(): void {
    this.#emit(SVC_0);
  }
  relax(): void {
    this.#emit(YIELD);
  }
  clock(to: Register): void {
    this.#emit(MRS_CNTVCT | NUMBER[to]);
  }
  finish(): Uint8Array {
    const code = Uint32Array.from(this.#code);
    this.#labels.resolve((at, target) => {
      code[at] = code[at]! | distanceField(code[at]!, target - at);
    });
    return new Uint8Array(code.buffer);
  }

  #emit(instruction: number): void {
    this.#code.push(instruction >>> 0);
  }
  #jump(instruction: number, label: string): void {
    this.#labels.use(label, this.#code.length);
    this.#emit(instruction);
  }
}

/** The distance in instructions, in the field that this kind of jump has for it. */
function distanceField(instruction: number, distance: number): number {
  if ((instruction & 0xfc000000) >>> 0 === B) return distance & 0x3ffffff;
  if ((instruction & 0xff000000) >>> 0 === TBZ) return (distance & 0x3fff) << 5;
  return (distance & 0x7ffff) << 5;
}
