/**
 * A WebAssembly module with one function and one memory, as bytes: what an assembler would make.
 *
 *   new WebAssembly.Module(wasmModule({ parameters: 6, locals: [...], code: [...], pages: 8 }))
 *
 * Only what record-formatter.ts needs is here. Code is a list of bytes and nested lists: `op.i32Add`,
 * `[op.localGet, 3]`, `constant(5)`.
 *
 * @see https://webassembly.github.io/spec/core/binary/
 */

export type Code = number | readonly Code[];

export const op = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Load: 0x28,
  i32Store: 0x36,
  i32Store8: 0x3a,
  i32Const: 0x41,
  i32Eqz: 0x45,
  i32LtU: 0x49,
  i32GtU: 0x4b,
  i32GeU: 0x4f,
  i32Ctz: 0x68,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32And: 0x71,
} as const;

/** Blocks without a result. */
export const VOID = 0x40;

const vector = (number: number): Code => [0xfd, unsigned(number)];
export const v128 = {
  load: (offset = 0): Code => [vector(0x00), 0, unsigned(offset)],
  store: (offset = 0): Code => [vector(0x0b), 0, unsigned(offset)],
  splatBytes: vector(0x0f),
  equalBytes: vector(0x23),
  bitmaskBytes: vector(0x64),
} as const;

export const constant = (value: number): Code => [op.i32Const, signed(value)];
export const get = (local: number): Code => [op.localGet, unsigned(local)];
export const set = (local: number): Code => [op.localSet, unsigned(local)];
export const tee = (local: number): Code => [op.localTee, unsigned(local)];
export const load32 = (offset: number): Code => [op.i32Load, 2, unsigned(offset)];
export const store32 = (offset: number): Code => [op.i32Store, 2, unsigned(offset)];
export const store8 = (offset: number): Code => [op.i32Store8, 0, unsigned(offset)];

const I32 = 0x7f;
const V128 = 0x7b;
const FUNCTION = 0x60;

export interface WasmFunction {
  /** How many i32 parameters there are; they are the first locals. */
  parameters: number;
  /** After them: i32 locals, then v128 locals. */
  words: number;
  vectors: number;
  code: Code;
}

/** The function is exported as `run`, the memory of so many pages of 64 kB as `memory`. */
export function wasmModule(run: WasmFunction, pages: number): Uint8Array<ArrayBuffer> {
  const parameters = Array.from({ length: run.parameters }, () => I32);
  const locals = [
    [unsigned(run.words), I32],
    [unsigned(run.vectors), V128],
  ];
  const body = [unsigned(locals.length), locals, run.code, op.end];
  return Uint8Array.from(
    flat([
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, [1, FUNCTION, unsigned(parameters.length), parameters, 0]),
      section(3, [1, 0]),
      section(5, [1, 0, unsigned(pages)]),
      section(7, [2, name('run'), 0, 0, name('memory'), 2, 0]),
      section(10, [1, sized(body)]),
    ]),
  );
}

const section = (id: number, content: Code): Code => [id, sized(content)];

function sized(content: Code): Code {
  const bytes = flat(content);
  return [unsigned(bytes.length), bytes];
}

const name = (text: string): Code => sized([...Buffer.from(text)]);

function flat(code: Code): number[] {
  return typeof code === 'number' ? [code] : code.flatMap(flat);
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? value : [(value & 0x7f) | 0x80, unsigned(value >>> 7)];
}

function signed(value: number): Code {
  const isLast = value >= -0x40 && value < 0x40;
  return isLast ? value & 0x7f : [(value & 0x7f) | 0x80, signed(value >> 7)];
}
