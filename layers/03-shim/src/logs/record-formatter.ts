/**
 * Lines into CRI records, 16 bytes at a time: the one loop that every logged byte goes through.
 *
 *   memory   0       results: how far the input was taken, how far the output goes
 *            64      the records' beginning, `<time> <stream> F `, at most 64 bytes
 *            1024    input: an unfinished line, then what has come; 80 kB
 *            131072  output; a piece at a time
 *
 * It looks for a newline while it copies, with vector instructions of WebAssembly: 0.3 ns a byte,
 * where the same in JavaScript takes 1 ns for lines of 100 bytes and 6 ns for lines of 20 (and
 * conmon, which gives writev(2) three pieces for each line, 3 and 8). What may be written over after
 * the end of a copy is room that the next record takes, or slack.
 */
import {
  type Batch,
  formatTimestamp,
  type LogFormatter,
  MAX_CONTENT_BYTES,
  type WritePiece,
} from './log-format.ts';
import {
  constant,
  get,
  op,
  set,
  store8,
  store32,
  tee,
  VOID,
  v128,
  type WasmFunction,
  wasmModule,
} from './wasm-module.ts';

const PREFIX_AT = 64;
const PREFIX_BYTES = 64;
const INPUT_AT = 1024;
const OUTPUT_AT = 128 << 10;
const PAGES = 6;
const MEMORY_BYTES = PAGES << 16;
const VECTOR_BYTES = 16;
const NEWLINE = 10;
const PARTIAL = 'P'.charCodeAt(0);
/** What fits: an unfinished line of the largest size, and a pipe of 64 kB. */
const INPUT_BYTES = MAX_CONTENT_BYTES + (64 << 10);
/** A record with less room than this waits for the next piece. */
const LARGEST_RECORD_BYTES = PREFIX_BYTES + MAX_CONTENT_BYTES + 1 + 2 * VECTOR_BYTES;

/** Positions are addresses; `at` and `out` are written to the memory's beginning at the end. */
const [at, end, prefix, isLast, out, outEnd] = [0, 1, 2, 3, 4, 5];
const [count, mask, content, found] = [6, 7, 8, 9];
const [vector, newlines] = [10, 11];

const copyPrefix = [0, 16, 32, 48].map((offset) => [
  [get(out), constant(PREFIX_AT), v128.load(offset), v128.store(offset)],
]);

/** Copies until there is a newline, or the input ends, or a record is full. */
const copyLine = [
  [constant(0), set(count), constant(0), set(found)],
  [op.block, VOID, op.loop, VOID],
  [get(content), get(count), op.i32Add],
  [get(at), get(count), op.i32Add, v128.load(), set(vector), get(vector), v128.store()],
  [get(vector), get(newlines), v128.equalBytes, v128.bitmaskBytes, tee(mask)],
  [op.if, VOID],
  [get(count), get(mask), op.i32Ctz, op.i32Add, set(count), constant(1), set(found), op.br, 2],
  op.end,
  [get(count), constant(VECTOR_BYTES), op.i32Add, set(count)],
  [get(at), get(count), op.i32Add, get(end), op.i32GeU, op.brIf, 1],
  [get(count), constant(MAX_CONTENT_BYTES + 1), op.i32LtU, op.brIf, 0],
  [op.end, op.end],
];

/** A newline behind the input's end, or behind a record's, is none. */
const isFullRecord = [
  [get(found)],
  [get(at), get(count), op.i32Add, get(end), op.i32LtU, op.i32And],
  [get(count), constant(MAX_CONTENT_BYTES + 1), op.i32LtU, op.i32And],
];

/** Ends a record after `count` bytes of content. */
const endRecord = [
  [get(content), get(count), op.i32Add, tee(out), constant(NEWLINE), store8(0)],
  [get(out), constant(1), op.i32Add, set(out)],
];

const endPartial = [
  [get(content), constant(2), op.i32Sub, constant(PARTIAL), store8(0)],
  endRecord,
  [get(at), get(count), op.i32Add, set(at)],
];

const formatLines: WasmFunction = {
  parameters: 6,
  words: 4,
  vectors: 2,
  code: [
    [constant(NEWLINE), v128.splatBytes, set(newlines)],
    [op.block, VOID, op.loop, VOID],
    [get(at), get(end), op.i32GeU, op.brIf, 1],
    [get(out), constant(LARGEST_RECORD_BYTES), op.i32Add, get(outEnd), op.i32GtU, op.brIf, 1],
    copyPrefix,
    [get(out), get(prefix), op.i32Add, set(content)],
    copyLine,
    [isFullRecord, op.if, VOID],
    [endRecord, get(at), get(count), op.i32Add, constant(1), op.i32Add, set(at), op.br, 1],
    op.end,
    [get(end), get(at), op.i32Sub, tee(count), constant(MAX_CONTENT_BYTES), op.i32GtU],
    [op.if, VOID, constant(MAX_CONTENT_BYTES), set(count), endPartial, op.br, 1, op.end],
    [get(isLast), op.if, VOID, endPartial, op.br, 1, op.end],
    [op.end, op.end],
    [constant(0), get(at), store32(0)],
    [constant(0), get(out), store32(4)],
  ],
};

type Run = (
  at: number,
  end: number,
  prefix: number,
  isLast: number,
  out: number,
  outEnd: number,
) => void;

/** Of WebAssembly, what is used here; Node's types leave its values out. */
interface Wasm {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: { run: Run; memory: { buffer: ArrayBuffer } } };
}
const { Instance, Module } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
const { run, memory } = new Instance(new Module(wasmModule(formatLines, PAGES))).exports;
const bytes = Buffer.from(memory.buffer);
const results = new Uint32Array(memory.buffer, 0, 2);

/** Where the input of all streams is put, one after the other; nobody keeps what is in it. */
export const logInput: Buffer = bytes.subarray(INPUT_AT, INPUT_AT + INPUT_BYTES);

export const criFormat: LogFormatter = {
  format(input: Uint8Array, batch: Batch, write: WritePiece): number {
    const start = addressOf(input);
    const stop = start + input.length;
    const prefixText = `${formatTimestamp(batch.timestampNs)} ${batch.stream} F `;
    const prefixBytes = bytes.write(prefixText, PREFIX_AT, 'latin1');
    for (let from = start; ; from = results[0]!) {
      run(from, stop, prefixBytes, batch.end ? 1 : 0, OUTPUT_AT, MEMORY_BYTES);
      const outputEnd = results[1]!;
      if (outputEnd === OUTPUT_AT) return from - start;
      write(bytes.subarray(OUTPUT_AT, outputEnd));
    }
  },
};

/** Input that is elsewhere is brought here. */
function addressOf(input: Uint8Array): number {
  if (input.buffer === memory.buffer) return input.byteOffset;
  logInput.set(input);
  return INPUT_AT;
}
