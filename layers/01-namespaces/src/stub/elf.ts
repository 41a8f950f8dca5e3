/**
 * A static ELF executable, written byte by byte: just what execve(2) needs.
 *
 *   0x000  ELF header           64 bytes
 *   0x040  program header       56 bytes   PT_LOAD, read + execute, the whole file
 *   0x078  program header       56 bytes   PT_GNU_STACK, read + write: no executable stack
 *   0x0b0  constants            as given
 *          code                 entry point
 *
 * No sections, no symbols, no dynamic loader: the kernel maps one page and jumps.
 *
 * @see elf(5)
 */
import type { Architecture } from '../syscalls/numbers.ts';

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
const HEADERS_BYTES = EHDR_BYTES + 2 * PHDR_BYTES;
const MACHINE: Record<Architecture, number> = { 'x86-64': 62, arm64: 183 };
const ET_EXEC = 2;
const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;
/** Aligned for the largest page size of arm64 (64 kB). */
const LOAD_ADDRESS = 0x400000;
const LOAD_ALIGNMENT = 0x10000;

/** Where the constants of an executable are in its memory. */
export const CONSTANTS_ADDRESS = LOAD_ADDRESS + HEADERS_BYTES;

/** Assembles a complete executable file. `constants` must be a multiple of 4 bytes long. */
export function writeElf(
  architecture: Architecture,
  code: Uint8Array,
  constants: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const size = HEADERS_BYTES + constants.length + code.length;
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2 /* 64 bit */, 1 /* little endian */, 1 /* version */]);
  view.setUint16(16, ET_EXEC, true);
  view.setUint16(18, MACHINE[architecture], true);
  view.setUint32(20, 1, true);
  setAddress(view, 24, CONSTANTS_ADDRESS + constants.length);
  setAddress(view, 32, EHDR_BYTES);
  view.setUint16(52, EHDR_BYTES, true);
  view.setUint16(54, PHDR_BYTES, true);
  view.setUint16(56, 2, true);
  writeProgramHeader(view, EHDR_BYTES, { type: PT_LOAD, flags: PF_R | PF_X, size });
  writeProgramHeader(view, EHDR_BYTES + PHDR_BYTES, { type: PT_GNU_STACK, flags: PF_R | PF_W });
  file.set(constants, HEADERS_BYTES);
  file.set(code, HEADERS_BYTES + constants.length);
  return file;
}

function writeProgramHeader(
  view: DataView,
  at: number,
  header: { type: number; flags: number; size?: number },
): void {
  view.setUint32(at, header.type, true);
  view.setUint32(at + 4, header.flags, true);
  if (header.size === undefined) return;
  setAddress(view, at + 16, LOAD_ADDRESS);
  setAddress(view, at + 24, LOAD_ADDRESS);
  setAddress(view, at + 32, header.size);
  setAddress(view, at + 40, header.size);
  setAddress(view, at + 48, LOAD_ALIGNMENT);
}

function setAddress(view: DataView, at: number, value: number): void {
  view.setBigUint64(at, BigInt(value), true);
}
